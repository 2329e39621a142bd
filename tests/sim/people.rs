//! The people around the pretended daemon: what they order, how often, and that they leave before they are answered.

use crate::engine::id::InstanceId;
use crate::engine::message::{Command, Plan, State};
use crate::world::{Happening, Verdict, World};

impl World {
    pub fn somebody_orders(&mut self) -> Verdict {
        if !self.harsh {
            return Ok(());
        }
        let gap = self.knobs.order_gap;
        let wait = self.rng.within(gap * 2);
        self.after(wait, Happening::Order);
        let command = self.some_command();
        let ticket = self.order(command)?;
        if self.rng.percent(self.knobs.withdraws) {
            let wait = self.rng.millis(0, 3000);
            self.after(wait, Happening::Leave(ticket));
        }
        Ok(())
    }

    fn some_command(&mut self) -> Command {
        let shutdown = self.intent.closing.is_some() && self.rng.percent(10);
        if shutdown {
            return Command::Shutdown { timeout: self.rng.millis(0, 15_000) };
        }
        if self.rng.percent(self.knobs.reloads) {
            return Command::Reload(self.some_plan());
        }
        let instances = self.some_instances();
        match self.rng.below(10) {
            0..4 => Command::Start(instances),
            4..7 => Command::Stop(instances),
            7..9 => Command::Restart { instances, force: false },
            _ => Command::Restart { instances, force: true },
        }
    }

    pub fn everybody(&self) -> Vec<InstanceId> {
        self.intent.books.keys().copied().collect()
    }

    fn somebody(&mut self) -> Option<InstanceId> {
        let count = self.intent.books.len() as u64;
        if count == 0 {
            return None;
        }
        let place = self.rng.below(count) as usize;
        self.intent.books.keys().nth(place).copied()
    }

    fn some_instances(&mut self) -> Vec<InstanceId> {
        let count = if self.rng.percent(self.knobs.groups) { self.rng.between(2, 5) } else { 1 };
        (0..count).filter_map(|_| self.somebody()).collect()
    }

    fn some_plan(&mut self) -> Plan {
        let mut plan = Plan::default();
        if self.rng.percent(50) {
            return plan;
        }
        if self.rng.percent(30) && self.intent.books.len() < 70 {
            plan.added.push(self.add());
        }
        if self.rng.percent(30) {
            let gone = self.some_instances();
            plan.removed.extend(gone.into_iter().filter(|id| !plan.added.contains(id)));
        }
        for _ in 0..self.rng.below(3) {
            let policy = self.knobs.policy(&mut self.rng);
            if let Some(id) = self.somebody().filter(|id| !plan.removed.contains(id)) {
                plan.changed.push((id, policy));
            }
        }
        plan
    }

    /// Whether anything is under way that a person would wait for.
    pub fn is_busy(&self) -> bool {
        self.intent.open_orders().next().is_some()
    }

    pub fn state_of(&self, id: InstanceId) -> Option<State> {
        self.engine.instance(id).map(|instance| instance.state())
    }
}
