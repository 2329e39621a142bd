//! The words of health checks: what was asked, and what came of it.

use super::Stage;
use crate::engine::message::ExitStatus;
use crate::engine::time::Duration;
use crate::spec::ProbeTarget;

/// `TCP connection to 127.0.0.1:80`, and what a sentence about the check begins with.
pub(super) fn subject(target: &ProbeTarget) -> String {
    match target {
        ProbeTarget::Tcp { host, port } => format!("TCP connection to {}:{port}", bracketed(host)),
        ProbeTarget::Http { host, port, path, .. } => format!("HTTP GET http://{}:{port}{path}", bracketed(host)),
        ProbeTarget::Script { .. } => "Health check script".to_owned(),
    }
}

/// What is said of a check that had no answer when its time was over.
pub(super) fn timed_out(target: &ProbeTarget, stage: &Stage, timeout: Duration) -> String {
    let where_it_was = match stage {
        Stage::Queued => " (there was no room to ask)",
        Stage::Naming => " (looking up the host name)",
        Stage::Calling(caller) if caller.is_connected() => " (connected, but no complete answer came)",
        Stage::Calling(_) | Stage::Running(_) | Stage::Dying(_) | Stage::Lingering(_) => "",
    };
    format!("{} timed out after {}s{where_it_was}", subject(target), timeout.as_secs_f64())
}

/// How a script ended, with what it said about it.
pub(super) fn ended(status: ExitStatus, said: &str) -> String {
    let how = super::super::report::exit_text(status);
    match (status, said) {
        (ExitStatus::Code(0), _) | (_, "") => format!("Health check script {how}"),
        (_, said) => format!("Health check script {how}: {said}"),
    }
}

fn bracketed(host: &str) -> String {
    if host.contains(':') { format!("[{host}]") } else { host.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_check_is_named_by_what_it_asks() {
        let tcp = |host: &str| ProbeTarget::Tcp { host: host.to_owned(), port: 80 };
        assert_eq!(subject(&tcp("db.local")), "TCP connection to db.local:80");
        assert_eq!(subject(&tcp("::1")), "TCP connection to [::1]:80");
        let (host, path) = ("127.0.0.1".to_owned(), "/up".to_owned());
        let http = ProbeTarget::Http { host, port: 8080, path, statuses: vec![(200, 399)] };
        assert_eq!(subject(&http), "HTTP GET http://127.0.0.1:8080/up");
    }

    #[test]
    fn a_time_is_told_as_it_was_configured() {
        let target = ProbeTarget::Script { command: "true".to_owned() };
        let told = |millis| timed_out(&target, &Stage::Queued, Duration::from_millis(millis));
        assert_eq!(told(10_000), "Health check script timed out after 10s (there was no room to ask)");
        assert_eq!(told(500), "Health check script timed out after 0.5s (there was no room to ask)");
    }

    #[test]
    fn a_script_is_quoted_only_when_it_failed() {
        assert_eq!(ended(ExitStatus::Code(0), "fine"), "Health check script exited with code 0");
        assert_eq!(ended(ExitStatus::Code(2), "no database"), "Health check script exited with code 2: no database");
        assert_eq!(ended(ExitStatus::Code(2), ""), "Health check script exited with code 2");
        let killed = ExitStatus::Signal { number: 9, core: false };
        assert_eq!(ended(killed, ""), "Health check script killed by SIGKILL");
    }
}
