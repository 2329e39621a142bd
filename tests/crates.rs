//! What this is built from: every crate from crates.io with its checksum, under a licence that goes with ours, and no crate at
//! run time that nobody decided on. Advisories are not looked at: they need the network (`cargo deny check advisories`).

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

/// Licences that a program under Apache-2.0 may be made from.
const LICENCES: [&str; 8] = [
    "MIT",
    "Apache-2.0",
    "Apache-2.0 WITH LLVM-exception",
    "BSD-2-Clause",
    "Unlicense",
    "CC0-1.0",
    "Unicode-3.0",
    "Zlib",
];

/// All that is in the two programs, or makes code for them.
const RUN_TIME: [&str; 34] = [
    "autocfg",
    "bitflags",
    "cfg-if",
    "cfg_aliases",
    "const-random",
    "const-random-macro",
    "crunchy",
    "dlv-list",
    "fern",
    "getrandom",
    "hashbrown",
    "httparse",
    "itoa",
    "libc",
    "log",
    "memchr",
    "memoffset",
    "mio",
    "nix",
    "once_cell",
    "ordered-multimap",
    "pico-args",
    "proc-macro2",
    "quote",
    "rust-ini",
    "serde",
    "serde_core",
    "serde_derive",
    "serde_json",
    "syn",
    "tiny-keccak",
    "unicode-ident",
    "unicode-width",
    "zmij",
];

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
}

/// Name and licence of each crate that this machine's build takes.
fn taken(edges: &str) -> BTreeSet<(String, String)> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut command = Command::new(cargo);
    command.current_dir(env!("CARGO_MANIFEST_DIR"));
    command.args(["tree", "--offline", "--locked", "--prefix", "none", "--format", "{p}|{l}|", "--edges", edges]);
    let output = command.output().expect("cargo can be run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().filter_map(|line| {
        let mut parts = line.split('|');
        let name = parts.next()?.split(' ').next()?.to_owned();
        Some((name, parts.next()?.to_owned()))
    });
    lines.filter(|(name, _)| name != "supervice").collect()
}

/// `A OR B` needs one that is known, `A AND B` both; of parentheses only `(A OR B) AND C` is understood.
fn is_allowed(licence: &str) -> bool {
    let one_of = |part: &str| part.split(" OR ").flat_map(|part| part.split('/')).any(|word| LICENCES.contains(&word));
    if !licence.contains('(') {
        return licence
            .split(" OR ")
            .flat_map(|part| part.split('/'))
            .any(|all| all.split(" AND ").all(|word| LICENCES.contains(&word)));
    }
    licence.split(" AND ").all(|part| one_of(part.trim_start_matches('(').trim_end_matches(')')))
}

#[test]
fn every_licence_is_known() {
    let bad: Vec<_> = taken("normal,build,dev").into_iter().filter(|(_, licence)| !is_allowed(licence)).collect();
    assert!(bad.is_empty(), "{bad:?}");
}

#[test]
fn the_licence_check_bites() {
    for good in
        ["MIT", "MIT OR GPL-3.0", "(MIT OR Apache-2.0) AND Unicode-3.0", "Unlicense/MIT", "GPL-2.0 OR Apache-2.0"]
    {
        assert!(is_allowed(good), "{good}");
    }
    for bad in ["", "GPL-3.0", "MIT AND GPL-3.0", "(MIT OR Apache-2.0) AND GPL-3.0", "SSPL-1.0 OR BUSL-1.1", "MITT"] {
        assert!(!is_allowed(bad), "{bad}");
    }
}

#[test]
fn nothing_got_in_at_run_time() {
    let strangers: Vec<String> = taken("normal,build")
        .into_iter()
        .map(|(name, _)| name)
        .filter(|name| !RUN_TIME.contains(&name.as_str()))
        .collect();
    assert!(strangers.is_empty(), "{strangers:?} are new: decide, and write them down");
}

#[test]
fn every_crate_comes_from_crates_io_with_its_checksum() {
    for lock in ["Cargo.lock", "fuzz/Cargo.lock"] {
        let text = read(lock);
        let packages: Vec<&str> = text.split("[[package]]").skip(1).collect();
        assert!(packages.len() > 10, "{lock}");
        for package in packages {
            let field = |key: &str| package.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix(" = "));
            let ours = ["\"supervice\"", "\"supervice-fuzz\""].contains(&field("name").unwrap_or_default());
            let source = field("source");
            let from_crates_io = source == Some("\"registry+https://github.com/rust-lang/crates.io-index\"");
            assert!(from_crates_io && field("checksum").is_some() || ours && source.is_none(), "{lock}: {package}");
        }
    }
}
