//! The name that somebody may have meant.

/// Longer names are compared as far as this.
const LENGTH_MAX: usize = 64;

/// The known name that is nearest to `asked`, if one is near enough to be meant.
pub fn nearest<'a>(asked: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    let wanted: Vec<char> = asked.chars().take(LENGTH_MAX).collect();
    let mut best: Option<(usize, String)> = None;
    let mut consider = |name: &str, told: &str| {
        let distance = distance(&wanted, &name.chars().take(LENGTH_MAX).collect::<Vec<_>>());
        if best.as_ref().is_none_or(|(least, _)| distance < *least) {
            best = Some((distance, told.to_owned()));
        }
    };
    let mut slots_of = "";
    for name in known {
        consider(name, name);
        match name.split_once(':') {
            Some((program, _)) if program != slots_of => {
                consider(program, &format!("{program}:*"));
                slots_of = program;
            }
            _ => {}
        }
    }
    // Something of what was asked for must be left in it.
    let bound = (wanted.len() / 3).max(1).min(wanted.len().saturating_sub(1));
    best.filter(|(distance, _)| *distance <= bound).map(|(_, name)| name)
}

/// Letters to add, to drop, to replace or to swap with their neighbour; case counts half of one, rounded down.
fn distance(a: &[char], b: &[char]) -> usize {
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let same = a[i - 1].eq_ignore_ascii_case(&b[j - 1]);
            let mut least = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + usize::from(!same));
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(rows[i - 2][j - 2] + 1);
            }
            row[j] = least;
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_near_is_found_and_what_is_far_is_not() {
        let known = ["webapp", "worker:00", "worker:01", "db"];
        for (asked, expected) in [
            ("wbeapp", Some("webapp")),
            ("webap", Some("webapp")),
            ("WEBAPP", Some("webapp")),
            ("worker", Some("worker:*")),
            ("wroker", Some("worker:*")),
            ("worker:02", Some("worker:00")),
            ("bd", Some("db")),
            ("nobody", None),
            ("x", None),
            ("DB", Some("db")),
            ("", None),
        ] {
            assert_eq!(nearest(asked, known.into_iter()).as_deref(), expected, "{asked}");
        }
        assert_eq!(nearest("a", [].into_iter()), None);
        assert_eq!(nearest("a", ["b"].into_iter()), None);
    }
}
