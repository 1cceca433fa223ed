use std::process::ExitCode;

use callfeed::cli::{self, Arguments};
use clap::Parser;

/// Also that of librdkafka, which allocates as much. A page of a report is a block of 15 MB that lives for a second:
/// glibc keeps it in its heap afterwards, torn by what else was allocated meanwhile, and a back-fill then takes half
/// as much memory again as with jemalloc, and no less time.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

/// What is freed goes back to the system after a tenth of a second: pages come again and again, but a process that has
/// caught up sleeps most of the time. Two arenas, as no more than a page at a time is worked on for long.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
// SAFETY: jemalloc reads a pointer to a text that ends with a zero byte under this name; the first word of a slice is
// that pointer. Nothing else has this name.
#[unsafe(export_name = "malloc_conf")]
pub static MALLOC_CONF: &[u8] = b"background_thread:true,dirty_decay_ms:100,muzzy_decay_ms:0,narenas:2\0";

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: threads cannot be started: {error}");
            return ExitCode::from(cli::FAILED);
        }
    };
    let exit = runtime.block_on(cli::run(arguments));
    // All that counts was waited for. A question to a server that does not answer must not hold up the end.
    runtime.shutdown_background();
    exit
}
