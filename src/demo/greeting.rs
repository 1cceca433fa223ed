//! The first lines: what this is, and where to connect.

use super::World;
use super::cluster::{CALLS, DEAD_LETTER, STATE};
use crate::simulator::AccountScenario;

/// So many accounts are described, more are counted.
const DESCRIBED: usize = 4;

pub fn text(world: &World, accounts: &[AccountScenario]) -> String {
    let (kafka, registry) = (world.cluster.bootstrap_servers(), world.registry.url());
    let api = world.simulator.url("default");
    let accounts = described(accounts);
    format!(
        "callfeed demo: made-up accounts, everything in this process, nothing leaves the machine

  Kafka            {kafka}
  Schema Registry  {registry}
  Data API         {api} (simulated)
  events           {CALLS}
  dead letters     {DEAD_LETTER}
  state            {STATE}
{accounts}
Look on from another terminal (kcat has to be one with Avro support):
  kcat -C -b {kafka} -t {CALLS} -s value=avro -r {registry}

"
    )
}

fn described(accounts: &[AccountScenario]) -> String {
    let describe = |account: &AccountScenario| {
        let entrance = if account.login.is_some() { "login and password" } else { "API key" };
        match account.customers.len() {
            0 => format!("{} ({}, {entrance})", account.name, brand(&account.brand)),
            customers => {
                format!("{} ({}, {entrance}, agency with {customers} customers)", account.name, brand(&account.brand))
            }
        }
    };
    let mut lines: Vec<String> = accounts.iter().take(DESCRIBED).map(describe).collect();
    if accounts.len() > DESCRIBED {
        lines.push(format!("and {} more", accounts.len() - DESCRIBED));
    }
    let titles = std::iter::once("accounts").chain(std::iter::repeat(""));
    titles.zip(lines).map(|(title, line)| format!("  {title:<15}  {line}\n")).collect()
}

/// As people write it.
fn brand(name: &str) -> &str {
    match name {
        "comagic" => "CoMagic",
        "uis" => "UIS",
        "callgear" => "CallGear",
        "novofon" => "Novofon",
        other => other,
    }
}
