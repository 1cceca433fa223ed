//! One replica of callfeed: the processes that run under its instance id, one after another.

use std::mem;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::time::{Duration, Instant};

use crate::support::{Callfeed, Setup};

/// How long a process may take to end when it is asked to, or when another has taken its place.
const END_WITHIN: Duration = Duration::from_secs(60);

/// How long two processes with one instance id live side by side, when neither ends by itself.
const RIVALRY: Duration = Duration::from_secs(10);

/// What a process that was superseded ends with.
const SUPERSEDED: i32 = 1;

pub struct Replica {
    pub name: String,
    setup: Setup,
    rivals: Rivals,
    condition: Condition,
    /// When the process of the time was started.
    started: Instant,
    /// The process that another one has replaced while it was frozen.
    former: Option<Former>,
}

/// What becomes of two processes with the same instance id.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Rivals {
    /// The one that joined later goes on, the other ends.
    LaterWins,
    /// The one that is a member goes on, the other waits for its end.
    MemberStays,
}

enum Condition {
    Down {
        until: Instant,
    },
    Up(Callfeed),
    Frozen {
        process: Callfeed,
        until: Instant,
    },
    /// SIGTERM was sent; it stays down for a while after it.
    Ending {
        process: Callfeed,
        since: Instant,
        pause: Duration,
    },
}

struct Former {
    process: Callfeed,
    wakes_at: Instant,
    is_awake: bool,
}

impl Replica {
    /// It does not run before [`Replica::go_on`].
    pub fn new(name: String, setup: Setup, rivals: Rivals) -> Replica {
        let now = Instant::now();
        Replica { name, setup, rivals, condition: Condition::Down { until: now }, started: now, former: None }
    }

    pub fn is_up(&self) -> bool {
        matches!(self.condition, Condition::Up(_))
    }

    pub fn is_down(&self) -> bool {
        matches!(self.condition, Condition::Down { .. })
    }

    /// Whether a process is left that another one has replaced.
    pub fn has_former(&self) -> bool {
        self.former.is_some()
    }

    /// Ends its processes and leaves what they wrote where it is.
    pub fn end_and_keep(self) -> PathBuf {
        drop((self.condition, self.former));
        let folder = self.setup.folder().to_owned();
        std::mem::forget(self.setup);
        folder
    }

    /// Starts it, lets it go on or ends it, as is due. The error says what it did that no replica may do.
    pub fn go_on(&mut self, is_wanted: bool) -> Result<(), String> {
        let now = Instant::now();
        let former = self.let_former_end(now);
        let mut outcome = Ok(());
        self.condition = match self.take_condition() {
            Condition::Down { until } if is_wanted && now >= until => {
                self.started = now;
                Condition::Up(self.setup.start())
            }
            Condition::Up(mut process) => match process.ended() {
                Some(status) if self.is_superseded_by_former(status) => self.give_back(),
                Some(status) => {
                    outcome = Err(format!("{} ended by itself with {status}: {}", self.name, last_words(&process)));
                    Condition::Down { until: now }
                }
                None if is_wanted => Condition::Up(process),
                None => terminate(process, Duration::ZERO),
            },
            Condition::Frozen { mut process, until } if now >= until => {
                process.cont();
                Condition::Up(process)
            }
            Condition::Ending { mut process, since, pause } => match process.ended() {
                None if since.elapsed() < END_WITHIN => Condition::Ending { process, since, pause },
                Some(status) if self.is_superseded_by_former(status) => self.give_back(),
                Some(status) if status.success() || !has_begun(&process) => Condition::Down { until: now + pause },
                ended => {
                    outcome = Err(format!("{} after SIGTERM: {ended:?}: {}", self.name, last_words(&process)));
                    Condition::Down { until: now }
                }
            },
            condition => condition,
        };
        former.and(outcome)
    }

    /// SIGKILL.
    pub fn kill(&mut self, pause: Duration) {
        if let Condition::Up(mut process) = self.take_condition() {
            process.kill9();
        }
        self.condition = Condition::Down { until: Instant::now() + pause };
    }

    pub fn freeze(&mut self, pause: Duration) {
        let mut process = self.take_process();
        process.stop();
        self.condition = Condition::Frozen { process, until: Instant::now() + pause };
    }

    pub fn terminate(&mut self, pause: Duration) {
        self.condition = terminate(self.take_process(), pause);
    }

    /// Another process takes its place while it is frozen; later it wakes up.
    pub fn supersede(&mut self, pause: Duration) {
        let mut process = self.take_process();
        process.stop();
        self.former = Some(Former { process, wakes_at: Instant::now() + pause, is_awake: false });
    }

    /// One of the two goes on, and that is who joined later: a process that was frozen for longer than its session, or
    /// before it had joined, joins when it wakes up.
    fn is_superseded_by_former(&self, status: ExitStatus) -> bool {
        status.code() == Some(SUPERSEDED) && self.former.as_ref().is_some_and(|former| former.is_awake)
    }

    fn give_back(&mut self) -> Condition {
        let former = self.former.take();
        former.map_or_else(|| Condition::Down { until: Instant::now() }, |former| Condition::Up(former.process))
    }

    fn let_former_end(&mut self, now: Instant) -> Result<(), String> {
        let Some(mut former) = self.former.take() else { return Ok(()) };
        if !former.is_awake && now >= former.wakes_at {
            former.process.cont();
            former.is_awake = true;
        }
        if self.rivals == Rivals::MemberStays && now >= former.wakes_at + RIVALRY {
            former.process.kill9();
            return Ok(());
        }
        match former.process.ended() {
            Some(status) if status.code() == Some(SUPERSEDED) => Ok(()),
            None if now < former.wakes_at + END_WITHIN => {
                self.former = Some(former);
                Ok(())
            }
            None if !self.is_up() || self.started > former.wakes_at => {
                // Whoever was to take its place has ended before, and may never have been a member.
                former.process.kill9();
                Ok(())
            }
            ended => {
                let words = last_words(&former.process);
                Err(format!("{} was superseded, and then: {ended:?}: {words}", self.name))
            }
        }
    }

    fn take_condition(&mut self) -> Condition {
        mem::replace(&mut self.condition, Condition::Down { until: Instant::now() })
    }

    fn take_process(&mut self) -> Callfeed {
        match self.take_condition() {
            Condition::Up(process) => process,
            _ => panic!("{} does not run", self.name),
        }
    }
}

/// A process that is not there yet to hear a signal dies of it.
fn has_begun(process: &Callfeed) -> bool {
    !process.stderr().is_empty()
}

fn terminate(mut process: Callfeed, pause: Duration) -> Condition {
    process.terminate();
    Condition::Ending { process, since: Instant::now(), pause }
}

fn last_words(process: &Callfeed) -> String {
    let log = process.stderr() + &process.stdout();
    log.lines().rev().take(5).collect::<Vec<_>>().into_iter().rev().collect::<Vec<_>>().join("\n    ")
}
