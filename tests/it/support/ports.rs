//! Ports for servers that are told their port and may be restarted on it.

use std::collections::BTreeSet;
use std::net::TcpListener;

/// Below the range from which the system serves outgoing connections and port 0: while a server is down
/// between two starts, nothing else is given its port.
const RANGE: std::ops::Range<u16> = 20_000..32_000;

/// A port on 127.0.0.1 that nobody listens on now.
pub fn free_port() -> u16 {
    loop {
        let port = fastrand::u16(RANGE);
        if TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// As many, no two the same.
pub fn free_ports<const N: usize>() -> [u16; N] {
    let mut taken = BTreeSet::new();
    std::array::from_fn(|_| {
        loop {
            let port = free_port();
            if taken.insert(port) {
                return port;
            }
        }
    })
}
