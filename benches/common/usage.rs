//! What a process has used, by what Linux counts of it.

// A benchmark uses what it needs.
#![allow(dead_code)]

use std::fs;

/// Linux counts CPU time for user space in hundredths of a second, whatever the kernel's own tick is.
const TICKS_PER_SECOND: f64 = 100.0;

#[derive(Clone, Copy, Default)]
pub struct Usage {
    pub cpu_seconds: f64,
    pub resident_kib: Option<u64>,
    /// None where it is not known of the work alone.
    pub peak_kib: Option<u64>,
}

impl Usage {
    /// Of a process, or of `thread-self`, as it is now. Memory is no longer told of one that has ended.
    pub fn of(process: &str) -> Usage {
        let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let kib = |name: &str| {
            let value = status.lines().find_map(|line| line.strip_prefix(name));
            value.map(|kib| kib.trim().trim_end_matches(" kB").parse().unwrap())
        };
        let cpu_seconds = cpu_ticks(&stat(process)) / TICKS_PER_SECOND;
        Usage { cpu_seconds, resident_kib: kib("VmRSS:"), peak_kib: kib("VmHWM:") }
    }
}

/// Follows a child until it ends. It must not be waited for before: its last figures go away with that.
pub struct Watch {
    process: String,
    usage: Usage,
}

impl Watch {
    pub fn new(process: u32) -> Watch {
        Watch { process: process.to_string(), usage: Usage::default() }
    }

    /// What the process has used in all, once it has ended.
    pub fn ended(&mut self) -> Option<Usage> {
        let now = Usage::of(&self.process);
        self.usage = Usage { peak_kib: now.peak_kib.or(self.usage.peak_kib), ..now };
        let is_zombie = fields(&stat(&self.process)).next() == Some("Z");
        is_zombie.then_some(self.usage)
    }
}

fn stat(process: &str) -> String {
    fs::read_to_string(format!("/proc/{process}/stat")).unwrap()
}

/// The fields from the third on, the state; the second is the program's name and may hold anything.
fn fields(stat: &str) -> impl Iterator<Item = &str> {
    stat.rsplit_once(')').expect("the name is in brackets").1.split_whitespace()
}

/// User and system time.
fn cpu_ticks(stat: &str) -> f64 {
    const USER_TIME: usize = 14 - 3;
    fields(stat).skip(USER_TIME).take(2).map(|ticks| ticks.parse::<f64>().unwrap()).sum()
}
