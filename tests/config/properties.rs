//! What holds of every text, not only of those somebody thought of.

use crate::generator::{REAL, Random, mutant, soup};
use crate::specs::good;
use std::path::Path;
use supervice::config::draft;
use supervice::spec::{Config, Positions};

/// Options as the daemon knows them, in place of the letters that `soup` draws.
fn with_known_names(text: &[u8], random: &mut Random) -> Vec<u8> {
    let text = String::from_utf8_lossy(text).replace("[s]", "[program:s]").replace("[a]", "[supervice]");
    let names: Vec<&str> = supervice::config::options::OPTIONS.iter().map(|option| option.name).collect();
    let lines = text.split('\n').map(|line| match line.split_once('=') {
        Some((_, value)) if random.one_in(2) => format!("{}={value}", random.pick(&names)),
        _ => line.to_owned(),
    });
    lines.collect::<Vec<_>>().join("\n").into_bytes()
}

#[test]
fn no_text_panics_and_every_problem_has_a_line_of_it() {
    let mut random = Random::new(7);
    for i in 0..6_000 {
        let text = match i % 3 {
            0 => mutant(&mut random),
            1 => soup(&mut random),
            _ => with_known_names(&soup(&mut random), &mut random),
        };
        let draft = draft(&text, Path::new("/srv"));
        let lines = text.iter().filter(|byte| matches!(byte, b'\n' | b'\r')).count() + 1;
        for problem in draft.problems.iter().chain(&draft.config.warnings) {
            assert!((1..=lines).contains(&problem.line), "{problem:?} of {:?}", String::from_utf8_lossy(&text));
            assert!(!problem.message.contains(char::is_control), "{problem:?}");
        }
    }
}

#[test]
fn reading_twice_gives_the_same() {
    let mut random = Random::new(8);
    for _ in 0..500 {
        let text = mutant(&mut random);
        assert_eq!(draft(&text, Path::new("/srv")), draft(&text, Path::new("/srv")));
    }
}

/// A configuration without the places its parts stand at.
fn placeless(mut config: Config) -> Config {
    config.positions = Positions::default();
    config.warnings.iter_mut().for_each(|warning| warning.line = 0);
    config.warnings.sort_by(|a, b| (&a.section, &a.option, &a.message).cmp(&(&b.section, &b.option, &b.message)));
    config
}

#[test]
fn comments_and_line_ends_change_nothing() {
    let mut random = Random::new(9);
    for original in REAL {
        let expected = placeless(good(original));
        for _ in 0..200 {
            let mut text = String::new();
            for line in original.lines() {
                // A blank line within a value is part of it; before a section or an option it is nothing.
                if !line.starts_with([' ', '\t']) && random.one_in(3) && !text.is_empty() {
                    text.push_str(random.pick(&["\n", "\r\n", "  \n", "\n\n"]));
                }
                if random.one_in(3) && !text.is_empty() {
                    text.push_str(random.pick(&["# c\n", "; c\r\n", "   # [x]\n", "\t;x=1\n"]));
                }
                text.push_str(line);
                text.push_str(random.pick(&["\n", "\r\n", "\r"]));
            }
            assert_eq!(placeless(good(&text)), expected, "{text:?}");
        }
    }
}

#[test]
fn the_order_of_sections_decides_only_the_order() {
    let text = REAL[0];
    let (head, rest) = text.split_once("[program:web]").unwrap();
    let (web, rest) = rest.split_once("[program:worker]").unwrap();
    let (worker, group) = rest.split_once("[group:shop]").unwrap();
    let turned = format!("[group:shop]{group}[program:worker]{worker}{head}[program:web]{web}");
    let (mut one, mut two) = (placeless(good(text)), placeless(good(&turned)));
    for config in [&mut one, &mut two] {
        config.instances.sort_by(|a, b| a.name.cmp(&b.name));
        config.groups.iter_mut().for_each(|group| group.members.sort());
    }
    assert_eq!(one, two);
}
