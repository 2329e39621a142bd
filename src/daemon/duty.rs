//! What the service manager that started the daemon is told of it (sd_notify(3)). Without one, nothing.

use super::Daemon;
use crate::engine::time::Duration;
use crate::sys::clock;
use crate::sys::superior::Superior;

/// For what comes after the last process is down.
const EXTRA: Duration = Duration::from_secs(10);

/// Where to report, and what was reported.
#[derive(Debug, Default)]
pub(super) struct Duty {
    superior: Option<Superior>,
    is_reloading: bool,
}

impl Duty {
    /// Looks whether anybody wants to know. Nobody is no reason not to start.
    pub(super) fn begin() -> Duty {
        match Superior::from_environment() {
            Ok(superior) => Duty { superior, is_reloading: false },
            Err(error) => {
                log::warn!("NOTIFY_SOCKET leads nowhere, so nobody is told how this goes: {error}");
                Duty::default()
            }
        }
    }

    fn tell(&self, lines: &str) {
        if let Some(Err(error)) = self.superior.as_ref().map(|superior| superior.tell(lines)) {
            let first = lines.lines().next().unwrap_or_default();
            log::warn!("the service manager was not told {first}: {error}");
        }
    }
}

impl Daemon {
    /// The control socket answers, and what starts by itself was ordered to.
    pub(super) fn report_ready(&self) {
        // In the background this is another process than the one that was started.
        let own = std::process::id();
        self.duty.tell(&format!("READY=1\nMAINPID={own}\nSTATUS={}", self.occupation()));
    }

    /// A reload begins.
    pub(super) fn report_reloading(&mut self) {
        self.duty.is_reloading = true;
        let now = clock::monotonic().as_nanos() / 1000;
        self.duty.tell(&format!("RELOADING=1\nMONOTONIC_USEC={now}\nSTATUS=Reading the configuration again"));
    }

    /// A reload is over, whatever became of it.
    pub(super) fn report_reloaded(&mut self) {
        if std::mem::take(&mut self.duty.is_reloading) && !self.closing {
            self.duty.tell(&format!("READY=1\nSTATUS={}", self.occupation()));
        }
    }

    /// The end begins.
    pub(super) fn report_stopping(&self) {
        let most = (self.settings.spec().shutdown_timeout + EXTRA).as_micros();
        self.duty.tell(&format!("STOPPING=1\nEXTEND_TIMEOUT_USEC={most}\nSTATUS=Stopping all processes"));
    }

    fn occupation(&self) -> String {
        match self.roster.in_order().len() {
            1 => "Supervising 1 process".to_owned(),
            many => format!("Supervising {many} processes"),
        }
    }
}
