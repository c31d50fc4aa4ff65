//! What a connection waits for, and how long. Timers are lazy: a message costs a store at most, and
//! whether a deadline still applies is looked at when it has passed.

use std::time::{Duration, Instant};

use super::progress::Progress;
use super::stopwatch::Stopwatch;
use super::{Connection, Control, State};
use crate::batch::RecordKind;
use crate::frame::Framing;
use crate::reason::Reason;
use crate::settings::Settings;
use crate::tls::Tls;

/// A time limit that can be changed while the connection lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// See [`Settings::read_timeout`].
    Read,
    /// See [`Settings::write_timeout`].
    Write,
    /// See [`Settings::idle_timeout`].
    Idle,
}

/// What the peer has sent and we have not read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Input {
    /// Nothing.
    None,
    /// Something.
    Waits,
}

/// A time that is to be told of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DeadlineTimer {
    /// From when on.
    pub time: Instant,
    /// Comes back with the record, so that one which was replaced meanwhile is not taken for this one.
    pub number: u32,
}

/// A deadline timer that has gone off.
#[derive(Clone, Copy)]
pub(super) struct FiredTimer {
    pub(super) number: u32,
    /// How long after its time the socket was looked at last, and found empty.
    pub(super) late: Duration,
}

/// What stands before a deadline timer that is due.
#[derive(Clone, Copy)]
struct Deferred {
    since: Instant,
    /// When so many bytes are read, everything is that was there by then.
    until: u64,
}

/// How far it has come that a connection ends for being idle. The core does not know whether its consumer is busy, and the
/// consumer not what goes over the wire meanwhile.
#[derive(Clone, Copy, Default)]
enum Silence {
    /// Nothing was told.
    #[default]
    Untold,
    /// The consumer was told. There has been silence since then.
    Told(Instant),
    /// The consumer is not busy: what it is told next is final.
    Confirmed,
}

/// The clocks of a connection that has any: with ten thousand idle ones, every byte counts.
#[derive(Default)]
pub(super) struct Clocks {
    /// Runs while a message is unfinished.
    pub(super) read: Stopwatch,
    /// Runs while something is queued.
    pub(super) write: Stopwatch,
    /// What the peer had acknowledged when that began.
    write_progress: Progress,
    /// Runs while nothing goes on.
    idle: Stopwatch,
    /// What was said about that.
    silence: Silence,
    deadline_timer: Option<DeadlineTimer>,
    /// The deadline timer was due while input waited, which is handed over first.
    deferred: Option<Deferred>,
    /// Bytes in both directions when last looked at.
    moved: u64,
}

/// A connection that waits for its peer in order to close.
pub(super) struct Closing {
    /// Until when, whatever progress there is.
    give_up: Instant,
    progress: Progress,
}

impl Clocks {
    /// Those that `settings` ask for, if they ask for any.
    pub(super) fn new(settings: &Settings) -> Option<Box<Self>> {
        let limits = [
            settings.read_timeout,
            settings.write_timeout,
            settings.idle_timeout,
        ];
        let [read, write, idle] = limits.map(Stopwatch::new);
        limits.iter().any(Option::is_some).then(|| {
            Box::new(Self {
                read,
                write,
                idle,
                ..Self::default()
            })
        })
    }

    /// What was told of silence counts no more, and its time begins anew.
    pub(super) fn break_silence(&mut self) {
        self.idle.stop();
        self.silence = Silence::Untold;
    }
}

impl Connection {
    /// When [`Self::expire_stage`] or one of its kind has something to do, unless something happens
    /// before.
    #[must_use]
    pub fn deadline(&self) -> Option<Instant> {
        let Some(clocks) = &self.clocks else {
            return self.stage;
        };
        let all = [
            self.stage,
            clocks.read.deadline(),
            clocks.write.deadline(),
            clocks.idle.deadline(),
            clocks
                .deadline_timer
                .map(|deadline_timer| deadline_timer.time),
        ];
        all.into_iter().flatten().min()
    }

    /// When dialing or closing fails.
    #[must_use]
    pub fn stage_deadline(&self) -> Option<Instant> {
        self.stage
    }

    /// Replaces a limit of the settings. Its time begins anew.
    pub fn set_limit(&mut self, limit: Limit, time: Option<Duration>) {
        let clocks = self.clocks.get_or_insert_default();
        let watch = match limit {
            Limit::Read => &mut clocks.read,
            Limit::Write => &mut clocks.write,
            Limit::Idle => &mut clocks.idle,
        };
        watch.set_limit(time);
        if limit == Limit::Idle {
            clocks.silence = Silence::Untold;
            self.pending.idle = None;
        }
    }

    /// The consumer, who was told of silence, has been busy until `busy`, and is no longer: silence counts from there. If
    /// that is the limit long, and nothing comes in between, it is told as final.
    pub fn confirm_idle(&mut self, busy: Instant) {
        if let Some(clocks) = self.clocks.as_deref_mut()
            && let Silence::Told(since) = clocks.silence
        {
            clocks.idle.run_from(since.max(busy));
            clocks.silence = Silence::Confirmed;
        }
    }

    /// Whether the consumer was told of silence, and nothing has come in between since.
    #[must_use]
    pub fn is_silent(&self) -> bool {
        let clocks = self.clocks.as_deref();
        clocks.is_some_and(|clocks| matches!(clocks.silence, Silence::Told(_)))
    }

    /// Has a deadline timer told, instead of the one before.
    pub fn set_deadline_timer(&mut self, deadline_timer: Option<DeadlineTimer>) {
        let clocks = self.clocks.get_or_insert_default();
        clocks.deadline_timer = deadline_timer;
        clocks.deferred = None;
        self.pending.deadline_timer = None;
    }

    /// Starts and stops what depends on the connection's condition.
    pub(super) fn follow_clocks(&mut self, now: Instant) {
        if self.clocks.is_none() {
            return;
        }
        let has_begun = self.inbound.has_partial() || self.partial_record;
        let unfinished = has_begun && self.reads() && self.budget() > 0;
        let moved = self.bytes_read.wrapping_add(self.bytes_written);
        // A stream's pieces are acknowledged late. Their reader knows whether they are being
        // handled.
        let handled = self.in_flight == 0 || matches!(self.settings.framing, Framing::Stream);
        let quiet = match self.control {
            // Also half-closed, and while the peer takes nothing: what becomes of it is the owner's matter.
            Control::Owner => self.state.hands_over(),
            Control::Settings => {
                let is_used = matches!(self.state, State::Open(_) | State::ReadOnly(_));
                // What has failed is told, and not that the peer does not take it.
                let goes_over = self.goes_over && self.reason == Reason::Normal;
                (is_used || goes_over)
                    && !self.outbound.has_remaining()
                    && handled
                    && !self.inbound.is_held_back()
            }
        };
        let Some(clocks) = &mut self.clocks else {
            return;
        };
        if unfinished {
            clocks.read.start(now);
        } else {
            clocks.read.stop();
        }
        if self.outbound.has_remaining() {
            clocks.write.start(now);
        } else {
            clocks.write.stop();
            clocks.write_progress = Progress::default();
        }
        if moved != clocks.moved || !quiet {
            clocks.moved = moved;
            clocks.break_silence();
            self.pending.idle = None;
        }
        if quiet {
            clocks.idle.start(now);
        }
        if matches!(clocks.silence, Silence::Confirmed) && !clocks.idle.is_over(now) {
            // By then its consumer may be busy again.
            clocks.silence = Silence::Untold;
        }
    }

    /// Until when closing waits for something to happen, if it begins to wait `now`.
    pub(super) fn close_deadline(&mut self, now: Instant) -> Instant {
        let Settings {
            close_timeout,
            max_close_time,
            ..
        } = *self.settings;
        let closing = self.closing.get_or_insert_with(|| {
            Box::new(Closing {
                give_up: now + max_close_time,
                progress: Progress::default(),
            })
        });
        closing.give_up.min(now + close_timeout)
    }

    /// Whether [`Self::expire_stage`] or one of its kind wants to know what the peer has not acknowledged.
    #[must_use]
    pub fn wants_unacknowledged(&self, now: Instant) -> bool {
        let is_closing = self.closing.is_some() && self.stage.is_some_and(|stage| stage <= now);
        let clocks = self.clocks.as_deref();
        is_closing
            || clocks.is_some_and(|clocks| clocks.read.is_over(now) || clocks.write.is_over(now))
    }

    /// Whether a wait for the peer has begun anew, for which [`Self::note_unacknowledged`] has to say where the peer stands.
    #[must_use]
    pub fn begins_to_wait(&self) -> bool {
        let closing = self.closing.as_deref();
        let clocks = self.clocks.as_deref();
        closing.is_some_and(|closing| closing.progress.is_unknown())
            || clocks.is_some_and(|clocks| {
                clocks.write.is_running() && clocks.write_progress.is_unknown()
            })
    }

    /// Bytes have left, so that every wait for the peer begins anew.
    pub(super) fn waits_anew(&mut self, now: Instant) {
        if let Some(closing) = &mut self.closing {
            closing.progress = Progress::default();
        }
        if let Some(clocks) = &mut self.clocks {
            clocks.write.restart(now);
            clocks.write_progress = Progress::default();
        }
    }

    /// The peer has not acknowledged so many bytes; `None` where the system cannot tell.
    pub fn note_unacknowledged(&mut self, unacknowledged: Option<usize>) {
        let progress = Progress::at(self.bytes_written, unacknowledged);
        if let Some(closing) = &mut self.closing {
            closing.progress = progress;
        }
        if let Some(clocks) = &mut self.clocks {
            clocks.write_progress = progress;
        }
    }

    /// The deadline for dialing or closing has passed. A peer that has acknowledged something meanwhile, `unacknowledged`
    /// bytes being left, gets as much time again.
    pub fn expire_stage(&mut self, now: Instant, unacknowledged: Option<usize>) {
        self.stage = None;
        if self.closes_on(now, unacknowledged) {
            self.stage = Some(self.close_deadline(now));
            return;
        }
        match self.state {
            State::Connecting => self.fail(Reason::ConnectTimeout),
            State::Securing => self.fail(match self.settings.tls {
                Some(Tls::Server(_)) => Reason::HandshakeTimeout,
                Some(Tls::Client(_)) | None => Reason::ConnectTimeout,
            }),
            State::Flushing(_) | State::Finishing(_) => self.fail(Reason::CloseTimeout),
            State::Lingering if unacknowledged.is_some_and(|left| left > 0) => {
                self.fail(Reason::CloseTimeout);
            }
            // The peer has all that we had to send, as far as the system can tell; it just never said goodbye.
            State::Lingering => self.fail(Reason::Normal),
            State::Open(_)
            | State::Ending(_)
            | State::ReadOnly(_)
            | State::Refused(_)
            | State::Closed => {}
        }
    }

    fn closes_on(&mut self, now: Instant, unacknowledged: Option<usize>) -> bool {
        let Some(closing) = &mut self.closing else {
            return false;
        };
        let progress = Progress::at(self.bytes_written, unacknowledged);
        let before = std::mem::replace(&mut closing.progress, progress);
        before.goes_on(progress) && now < closing.give_up
    }

    /// Takes nothing more if a message has been unfinished for too long by `now`. What came whole before it is answered
    /// first, as far as messages count, and what is on its way arrives: `unacknowledged` bytes are. Where nothing is, it ends at
    /// once.
    pub fn expire_read(&mut self, now: Instant, unacknowledged: Option<usize>) {
        let clocks = self.clocks.as_deref();
        if !clocks.is_some_and(|clocks| clocks.read.is_over(now)) {
            return;
        }
        let is_on_its_way = unacknowledged.is_some_and(|left| left > 0);
        if self.in_flight > 0 || self.outbound.has_remaining() || is_on_its_way {
            self.refuse(Reason::ReadTimeout);
        } else {
            self.fail(Reason::ReadTimeout);
        }
    }

    /// Fails if nothing of what is queued has left for too long by `now`, and the peer has
    /// acknowledged nothing of what left before. `unacknowledged` bytes of it are still on their
    /// way.
    pub fn expire_write(&mut self, now: Instant, unacknowledged: Option<usize>) {
        let Some(clocks) = self.clocks.as_deref_mut() else {
            return;
        };
        if !clocks.write.is_over(now) {
            return;
        }
        let progress = Progress::at(self.bytes_written, unacknowledged);
        let before = std::mem::replace(&mut clocks.write_progress, progress);
        if before.goes_on(progress) {
            clocks.write.restart(now);
        } else {
            self.fail(Reason::WriteTimeout);
        }
    }

    /// Has it told if the connection has been idle for too long by `now`, and begins anew. A peer whose `input` waits for us
    /// is not silent, except for an owner, who learns of silence on the wire whatever the cause.
    pub fn expire_idle(&mut self, now: Instant, input: Input) {
        let Some(clocks) = self.clocks.as_deref_mut() else {
            return;
        };
        let Some(since) = clocks.idle.since().filter(|_| clocks.idle.is_over(now)) else {
            return;
        };
        clocks.idle.restart(now);
        let before = std::mem::take(&mut clocks.silence);
        if input == Input::None || self.control == Control::Owner {
            clocks.silence = Silence::Told(since);
            self.pending.idle = Some(match before {
                Silence::Confirmed => RecordKind::IdleConfirmed,
                Silence::Untold | Silence::Told(_) => RecordKind::Idle,
            });
        }
    }

    /// Has the deadline timer told if it is due by `now`. `unread` says how many bytes may wait in
    /// the socket. It is asked only where the deadline timer is due: what had come by then is
    /// handed over first. More than that is not waited for, so that a peer which never stops
    /// sending does not put the deadline timer off for good.
    pub fn expire_deadline_timer(&mut self, now: Instant, unread: impl FnOnce() -> usize) {
        let Some(clocks) = self.clocks.as_deref_mut() else {
            return;
        };
        let Some(deadline_timer) = clocks
            .deadline_timer
            .filter(|deadline_timer| deadline_timer.time <= now)
        else {
            return;
        };
        let waiting = unread();
        let mut looked = now;
        if waiting > 0 {
            let until = self.bytes_read + waiting as u64;
            let deferred = *clocks
                .deferred
                .get_or_insert(Deferred { since: now, until });
            if self.bytes_read < deferred.until {
                return;
            }
            looked = deferred.since;
        }
        clocks.deadline_timer = None;
        clocks.deferred = None;
        self.pending.deadline_timer = Some(FiredTimer {
            number: deadline_timer.number,
            late: looked - deadline_timer.time,
        });
    }
}
