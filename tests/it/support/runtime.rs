//! One runtime for what is asynchronous in tests. It lives as long as the test process, so a server
//! spawned here keeps answering while a test blocks on something else.

use std::future::Future;
use std::sync::{LazyLock, mpsc};

use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| {
    Builder::new_multi_thread().worker_threads(2).thread_name("test-runtime").enable_all().build().unwrap()
});

/// Runs a future to its end and returns its value. Also right inside another runtime, where tokio's own
/// `block_on` would panic.
#[track_caller]
pub fn block_on<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> T {
    let (sender, receiver) = mpsc::sync_channel(1);
    RUNTIME.spawn(async move {
        // The receiver waits for exactly this, so it is there.
        let _ = sender.send(future.await);
    });
    receiver.recv().expect("the future panicked; its message is above")
}

/// Starts a future that goes on by itself, such as a server.
pub fn spawn<T: Send + 'static>(future: impl Future<Output = T> + Send + 'static) -> JoinHandle<T> {
    RUNTIME.spawn(future)
}
