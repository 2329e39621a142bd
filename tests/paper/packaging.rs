//! What is handed out in packages and images: complete, and of a kind that the programs accept.

use crate::harness::*;
use crate::is_there;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn text(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|problem| panic!("{path}: {problem}"))
}

/// A configuration that is handed out, with its folders in ours, as `-t` finds it.
#[track_caller]
fn checked(path: &str, change: impl Fn(&str) -> String) -> (Home, Ran) {
    let home = Home::new();
    let own = text(path);
    let moved = ["/run/supervice/", "/var/log/supervice/"]
        .iter()
        .fold(own, |text, folder| text.replace(folder, &home.fill("{dir}/")));
    home.configure_raw(&change(&moved));
    let ran = home.run_daemon(&["-t", "-c", "c.conf"]);
    (home, ran)
}

#[test]
fn the_configurations_are_accepted() {
    for (path, count) in [("docs/packaging/supervice.conf", 0), ("examples/docker/supervice.conf", 2)] {
        let (_home, ran) = checked(path, str::to_owned);
        let told = format!("c.conf: {count} instances, no errors\n");
        assert_eq!((ran.code, ran.stdout, ran.stderr.as_str()), (0, told, ""), "{path}");
    }
}

#[test]
fn what_is_commented_out_in_the_package_runs() {
    let without = |text: &str| text.replace("\n;", "\n").replace("user = nobody\n", "");
    let (home, ran) = checked("docs/packaging/supervice.conf", without);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    std::fs::rename(home.config_path(), home.join("whole")).unwrap();
    home.write("c.conf", home.read("whole").replace("supervice.sock", "s.sock"));
    let mut d = Daemon::launch(home);
    d.wait_state("hello", "RUNNING");
    assert_eq!(d.terminate(), 0);
}

/// The image's own health check on the image's own configuration.
#[test]
fn the_health_check_of_the_image_tells_the_truth() {
    let image = text("examples/docker/Dockerfile");
    let line = image.lines().find(|line| line.trim_start().starts_with("CMD [")).unwrap();
    let words: Vec<&str> = line.split('"').skip(1).step_by(2).collect();
    assert_eq!(words[0], "supervicectl");
    let (home, _) = checked("examples/docker/supervice.conf", |text| text.replace("supervice.sock", "s.sock"));
    let mut d = Daemon::launch(home);
    d.wait_all("RUNNING");
    let check = d.ctl(&words[1..]);
    assert_eq!((check.code, check.stdout.as_str(), check.stderr.as_str()), (0, "", ""), "{check:?}");
    d.wait_log("worker | working");
    d.done("stop", "worker");
    assert_eq!(d.ctl(&words[1..]).code, 1);
    assert_eq!(d.terminate(), 0);
}

/// What `cargo deb` would put into a package: folders stand with a `/` at their end.
fn listed() -> Vec<(String, String)> {
    let manifest = text("Cargo.toml");
    let (_, list) = manifest.split_once("\nassets = [\n").unwrap();
    let (list, _) = list.split_once("\n]\n").unwrap();
    let entry = |line: &str| {
        let mut words = line.split('"').skip(1).step_by(2).map(str::to_owned);
        (words.next().unwrap(), words.next().unwrap())
    };
    list.lines().map(entry).collect()
}

/// Where each file of the list goes, man pages compressed as Debian wants them.
fn places() -> BTreeSet<String> {
    let mut places = BTreeSet::new();
    for (source, place) in listed() {
        let sources = match source.strip_suffix("/*.md") {
            Some(folder) => pages_in(folder),
            None => vec![source],
        };
        for source in sources {
            let name = source.rsplit('/').next().unwrap().to_owned();
            let whole = if place.ends_with('/') { format!("{place}{name}") } else { place.clone() };
            places.insert(if whole.contains("/man/") { format!("{whole}.gz") } else { whole });
        }
    }
    // cargo-deb puts this one there by itself, from its own option.
    places.insert("usr/share/doc/supervice/changelog.Debian.gz".to_owned());
    places
}

fn pages_in(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root().join(folder)).unwrap().flatten();
    let names = entries.map(|entry| format!("{folder}/{}", entry.file_name().to_string_lossy()));
    names.filter(|name| name.ends_with(".md")).collect()
}

#[test]
fn both_ways_make_the_same_package() {
    if !is_there("dpkg-deb") {
        return skip("the Debian package", "there is no dpkg-deb here");
    }
    let home = Home::new();
    let programs = PathBuf::from(env!("CARGO_BIN_EXE_supervice"));
    let mut command = Command::new(root().join("docs/packaging/build-deb"));
    command.arg(programs.parent().unwrap()).arg(home.path()).env("DPKG_DEB_COMPRESSOR_TYPE", "none");
    let ran = run(&mut command, DEADLINE * 6);
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{ran:?}");
    let package = ran.stdout.trim();
    let listing = run(Command::new("dpkg-deb").args(["-c", package]), DEADLINE * 3).stdout;
    let mut packed = BTreeSet::new();
    for line in listing.lines().filter(|line| !line.starts_with('d')) {
        assert!(line.contains(" root/root "), "{line}");
        packed.insert(line.rsplit(" ./").next().unwrap().to_owned());
    }
    assert_eq!(packed, places());
    let fields = run(Command::new("dpkg-deb").args(["-I", package]), DEADLINE * 3).stdout;
    for field in ["Package: supervice\n", "Depends: libc6 (>= 2.", "conffiles", "postinst", "prerm", "postrm"] {
        assert!(fields.contains(field), "{field} is not in\n{fields}");
    }
}

/// What Debian's tools read of the changelog: its newest entry is this version, by who stands in the package.
#[test]
fn the_changelog_is_about_this_version() {
    let manifest = text("Cargo.toml");
    assert!(manifest.contains("\nchangelog = \"docs/packaging/debian/changelog\"\n"));
    let (_, maintainer) = manifest.split_once("\nmaintainer = \"").unwrap();
    let (maintainer, _) = maintainer.split_once("\"\n").unwrap();
    let changelog = text("docs/packaging/debian/changelog");
    let head = format!("supervice ({}-1) unstable; urgency=", env!("CARGO_PKG_VERSION"));
    assert!(changelog.starts_with(&head), "{changelog}");
    let signed = changelog.lines().find_map(|line| line.strip_prefix(" -- ")).unwrap();
    let (who, when) = signed.split_once("  ").unwrap();
    assert_eq!(who, maintainer);
    assert!(when.ends_with(" +0000") && when.contains(", "), "{when}");
}

#[test]
fn the_scripts_are_scripts() {
    for name in ["build-deb", "papers", "debian/postinst", "debian/prerm", "debian/postrm"] {
        let path = root().join("docs/packaging").join(name);
        let ran = run(Command::new("sh").arg("-n").arg(&path), DEADLINE);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{name}");
    }
}

/// What stands in the package, with folders of ours in place of the machine's, and no service manager to talk to.
fn moved(home: &Home, path: &str) -> String {
    let places = [("/run/supervice", "run"), ("/var/log/supervice", "log"), ("/etc/supervice", "etc")];
    let own = text(path).replace("deb-systemd-helper", "no-such-helper").replace("/run/systemd/system", "/nowhere");
    places.iter().fold(own, |text, (theirs, ours)| text.replace(theirs, &home.fill(&format!("{{dir}}/{ours}"))))
}

/// The package's own script, after a daemon on the package's own configuration.
#[test]
fn what_removes_the_package_leaves_no_trace_of_a_daemon() {
    let home = Home::new();
    for folder in ["run", "log", "etc"] {
        std::fs::create_dir(home.join(folder)).unwrap();
    }
    let program = "[program:a]\ncommand = sleep 1000\n";
    home.configure_raw(
        &(moved(&home, "docs/packaging/supervice.conf") + program).replace("run/supervice.sock", "s.sock"),
    );
    home.write("postrm", moved(&home, "docs/packaging/debian/postrm"));
    let mut d = Daemon::launch(home);
    d.wait_state("a", "RUNNING");
    assert_eq!(d.terminate(), 0);
    assert!(d.home.join("run/.supervice.state.json.history").exists(), "this test is about what stays");
    let script = |action: &str| {
        let ran = run(d.home.command("sh").args(["postrm", action]), DEADLINE);
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{action}");
    };
    script("remove");
    assert!(!d.home.join("run").exists() && d.home.join("log/supervice.log").exists());
    script("purge");
    assert!(!d.home.join("log").exists() && !d.home.join("etc").exists());
}

/// The unit names programs, flags and places that there are.
#[test]
fn the_unit_fits_the_package() {
    let unit = text("docs/packaging/supervice.service");
    let places = places();
    for line in unit.lines().filter(|line| line.starts_with("Exec")) {
        let words: Vec<&str> = line.split_once('=').unwrap().1.split(' ').collect();
        assert!(places.contains(words[0].trim_start_matches('/')), "{line}");
    }
    assert!(unit.contains("\nType=notify\n") && unit.contains("-c /etc/supervice/supervice.conf\n"));
    let socket = text("docs/packaging/supervice.conf");
    assert!(socket.contains("\nsocket = /run/supervice/supervice.sock\n"));
    if !is_there("systemd-analyze") {
        return skip("the unit by systemd's own word", "there is no systemd-analyze here");
    }
    let home = Home::new();
    let here = unit.replace("/usr/bin/supervicectl", &supervicectl().display().to_string());
    let here = here.replace("/usr/bin/supervice ", &format!("{} ", supervice().display()));
    let path = home.write("supervice.service", here);
    let ran = run(Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&path), DEADLINE * 3);
    assert!(!ran.stderr.contains("supervice.service"), "{ran:?}");
}
