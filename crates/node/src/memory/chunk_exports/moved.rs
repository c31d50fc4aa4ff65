//! Finds the chunks whose memory user code has moved to another environment, so that they outlive this one.

use std::cell::RefCell;
use std::rc::Rc;

use super::export::{ExportState, Sweep};
use super::{ExportTable, SWEEP_TURNS, Sweeps, is_attached};
use crate::memory::end_watch::Ending;
use crate::memory::sweep_watch::{self, Sweeping};

impl ExportTable {
    /// Finds those whose `ArrayBuffer` was collected since the last time. Costs a look at each, once a collection.
    fn await_sweep(&mut self) {
        self.sweeps.turns = SWEEP_TURNS;
        for (_, export) in &mut self.exports {
            let is_looked_at = export.sweep == Sweep::None
                && export.state != ExportState::Finalized
                && !export.buffer.is_null();
            if is_looked_at && !sweep_watch::is_alive(self.env.raw(), export.buffer) {
                export.sweep = Sweep::Awaited;
                self.sweeps.awaited += 1;
            }
        }
    }

    /// JavaScript has stopped.
    fn mark_unmoved(&mut self) {
        let env = self.env;
        for (_, export) in &mut self.exports {
            if export.sweep == Sweep::None && is_attached(env, export.buffer) {
                export.sweep = Sweep::Unmoved;
            }
        }
    }

    /// V8 has freed all that it had collected. Finalizers of that follow in this turn.
    fn swept(&mut self) {
        for (_, export) in &mut self.exports {
            if export.sweep == Sweep::Awaited {
                export.sweep = Sweep::Done;
            }
        }
        self.sweeps.awaited = 0;
    }
}

impl Ending for RefCell<ExportTable> {
    /// Memory that user code has moved may be read for as long as the process lives. An export
    /// whose `ArrayBuffer` was collected, but whose memory was not freed, counts as moved as well.
    /// [`Sweeping`] has seen to it that V8 has freed the rest.
    fn ends(&self) {
        let table = &mut *self.borrow_mut();
        table.sweeps.has_ended = true;
        table.sweeps.awaited = 0;
        for (_, export) in &table.exports {
            let is_known = export.state == ExportState::Finalized || export.sweep == Sweep::Unmoved;
            if !is_known && !is_attached(table.env, export.buffer) {
                export.chunk.keep();
            }
        }
    }
}

impl Sweeping for RefCell<ExportTable> {
    fn collected(self: &Rc<Self>) {
        let env = self.borrow().env.raw();
        if sweep_watch::is_ending(env) {
            return look_at_end(self);
        }
        sweep_watch::next_collection(env, self);
        // V8 frees what one collection has found before it begins the next.
        self.borrow_mut().swept();
        self.borrow_mut().await_sweep();
        wait_for_sweep(self);
    }

    fn turned(self: &Rc<Self>) {
        self.borrow_mut().sweeps.is_posted = false;
        if sweep_watch::is_ending(self.borrow().env.raw()) {
            return look_at_end(self);
        }
        wait_for_sweep(self);
    }
}

/// Waits in turns of the event loop, which does not block meanwhile, until V8 has freed what it collected. Nothing is
/// borrowed while a turn is posted: the engine may run finalizers.
fn wait_for_sweep(table: &Rc<RefCell<ExportTable>>) {
    let (env, turns) = {
        let table = table.borrow();
        let Sweeps {
            awaited,
            turns,
            is_posted,
            ..
        } = table.sweeps;
        if awaited == 0 || turns == 0 || is_posted {
            return;
        }
        (table.env.raw(), turns)
    };
    if sweep_watch::next_turn(env, table) {
        let sweeps = &mut table.borrow_mut().sweeps;
        sweeps.is_posted = true;
        sweeps.turns = turns - 1;
    }
}

/// JavaScript has stopped. Notes what was not moved, and has V8 free the rest of what it has collected, whose finalizers run
/// before `ends` is told. Nothing is borrowed while the engine collects: it may run finalizers.
pub(super) fn look_at_end(table: &Rc<RefCell<ExportTable>>) {
    let env = {
        let mut table = table.borrow_mut();
        if table.sweeps.has_ended {
            return;
        }
        table.mark_unmoved();
        table.await_sweep();
        if table.sweeps.awaited == 0 {
            return;
        }
        table.env.raw()
    };
    // The second one finishes the sweep of the first.
    sweep_watch::collect_young(env);
    sweep_watch::collect_young(env);
    table.borrow_mut().swept();
}
