//! A consumer that reads along from beginning to end, and what it was told.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;

use crate::support::{Cluster, Record, Registry, Told};

/// The events of each call of an account, in the order in which a consumer sees them.
type Histories = BTreeMap<i64, Vec<Told>>;

#[derive(Default)]
pub struct Feed {
    by_account: BTreeMap<String, Histories>,
    first_told: BTreeMap<(String, i64), Timestamp>,
    n_records: usize,
}

impl Feed {
    pub fn histories(&self, account: &str) -> Histories {
        self.by_account.get(account).cloned().unwrap_or_default()
    }

    pub fn first_told(&self, account: &str, call: i64) -> Option<Timestamp> {
        self.first_told.get(&(account.to_owned(), call)).copied()
    }

    pub fn n_records(&self) -> usize {
        self.n_records
    }

    fn take_in(&mut self, record: &Record, registry: &Registry) {
        let event = registry.decode(record);
        let (account, call) = (event["account"].as_str().unwrap().to_owned(), event["id"].as_i64().unwrap());
        assert_eq!(record.key_text(), format!("{account}:{call}"));
        self.n_records += 1;
        self.first_told.entry((account.clone(), call)).or_insert_with(Timestamp::now);
        let histories = self.by_account.entry(account).or_default();
        histories.entry(call).or_default().push(Told::of(record, &event));
    }
}

/// Reads until it goes out of scope.
pub struct Reader {
    feed: Arc<Mutex<Feed>>,
    is_over: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Reader {
    /// Waits for the topic if it is not there yet.
    pub fn start(cluster: Cluster, topic: String, registry: Registry) -> Reader {
        let (feed, is_over) = (Arc::new(Mutex::new(Feed::default())), Arc::new(AtomicBool::new(false)));
        let (its_feed, its_end) = (feed.clone(), is_over.clone());
        let thread = std::thread::spawn(move || {
            let follower = cluster.follow(&topic);
            while !its_end.load(Ordering::Relaxed) {
                if let Some(record) = follower.next(Duration::from_millis(100)) {
                    its_feed.lock().unwrap().take_in(&record, &registry);
                }
            }
        });
        Reader { feed, is_over, thread: Some(thread) }
    }

    /// Looks at what was read so far.
    pub fn look<T>(&self, look: impl FnOnce(&Feed) -> T) -> T {
        look(&self.feed.lock().expect("the reader has panicked; its message is above"))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        // If it panicked, the feed is poisoned and said so.
        let _ = self.thread.take().map(JoinHandle::join);
    }
}
