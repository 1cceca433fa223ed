//! The beginning of every client of HTTP: what all of them have in common.

use reqwest::{Client, ClientBuilder};

/// A client by the name of callfeed, with TLS.
pub fn builder() -> ClientBuilder {
    // reqwest is built without a provider of cryptography of its own, and panics without one. If there is one already, as
    // after the first call, that one serves as well.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().user_agent(concat!("callfeed/", env!("CARGO_PKG_VERSION")))
}
