//! A TCP proxy in the way of one client, with which a test makes its network bad.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::{block_on, spawn};

/// What the network does to everything that is on its way, and to what comes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Network {
    Good,
    /// Every piece of data is late by so much.
    Slow(Duration),
    /// Nothing arrives and nobody is told. What was sent arrives when the network is good again, if somebody still
    /// waits for it.
    Silent,
    /// Connections break, and new ones break at once.
    Cut,
}

/// Listens for as long as it lives, and passes on what it is sent.
pub struct Proxy {
    port: u16,
    network: watch::Sender<Network>,
    server: JoinHandle<()>,
}

impl Proxy {
    /// Before a server on this machine, which need not run yet.
    pub fn before(server: SocketAddr) -> Proxy {
        let listener = block_on(async { TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap() });
        let (network, changes) = watch::channel(Network::Good);
        Proxy { port: listener.local_addr().unwrap().port(), network, server: spawn(accept(listener, server, changes)) }
    }

    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on the network is so.
    pub fn set(&self, network: Network) {
        self.network.send_replace(network);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn accept(listener: TcpListener, server: SocketAddr, network: watch::Receiver<Network>) {
    loop {
        // An error is of one connection, or of a moment without descriptors.
        if let Ok((client, _)) = listener.accept().await {
            tokio::spawn(serve(client, server, network.clone()));
        }
    }
}

/// One connection. Either side sees it break when the other is gone or the network is cut.
async fn serve(client: TcpStream, server: SocketAddr, network: watch::Receiver<Network>) {
    let is_cut = until(network.clone(), |network| network == Network::Cut);
    tokio::select! {
        biased;
        () = is_cut => {}
        () = relay(client, server, network) => {}
    }
}

async fn relay(client: TcpStream, server: SocketAddr, network: watch::Receiver<Network>) {
    until(network.clone(), |network| network != Network::Silent).await;
    let Ok(server) = TcpStream::connect(server).await else { return };
    // Kafka's requests are small, and answers are waited for.
    for stream in [&client, &server] {
        let _ = stream.set_nodelay(true);
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    // One direction that breaks breaks both; one that ends leaves the other open.
    let _ = tokio::try_join!(pump(from_client, to_server, network.clone()), pump(from_server, to_client, network));
}

async fn pump(
    mut from: OwnedReadHalf,
    mut to: OwnedWriteHalf,
    network: watch::Receiver<Network>,
) -> std::io::Result<()> {
    let mut piece = vec![0; 64 * 1024];
    loop {
        let n_bytes = from.read(&mut piece).await?;
        let now = *network.borrow();
        if let Network::Slow(delay) = now {
            tokio::time::sleep(delay).await;
        }
        until(network.clone(), |network| network != Network::Silent).await;
        if n_bytes == 0 {
            return to.shutdown().await;
        }
        to.write_all(&piece[..n_bytes]).await?;
    }
}

/// Waits until the network is as wanted; for ever when the proxy is gone, as nothing changes any more.
async fn until(mut network: watch::Receiver<Network>, mut is_wanted: impl FnMut(Network) -> bool) {
    if network.wait_for(|network| is_wanted(*network)).await.is_err() {
        std::future::pending::<()>().await;
    }
}
