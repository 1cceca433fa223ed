//! `callfeed state rewind` and `callfeed state forget`.

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::{Failure, Wait, load, seated};
use crate::cli::{ConfigFile, DONE, written};
use crate::domain::rewind::Moment;
use crate::domain::time::Interval;
use crate::outlook::short;
use crate::state_admin::forget::{self, Forgotten};
use crate::state_admin::rewind::{self, Rewound};
use crate::state_admin::{AdminError, Known, StateAdmin};

/// Have calls of an account read again that started at some time or later
///
/// What is published already stays known: a call that is read again is published only when it is new or has changed. What
/// is older than the horizon was forgotten, and is published again only with --republish. A time before the first reading
/// moves the start of the account there.
#[derive(clap::Args)]
#[command(after_help = "Example: callfeed state rewind acme --to '2026-03-02 10:00:00' --config callfeed.yaml\n\
     Exits with 1 while a replica runs")]
pub struct RewindArguments {
    /// The account; NAME.ID for a customer of an agency
    name: String,

    /// With an offset (2026-03-02T10:00:00+03:00, or Z), or a local time of the account as in `start_from` (2026-03-02 10:00:00)
    #[arg(long, value_name = "TIME")]
    to: String,

    /// Also where it is not known any more which calls were published: those come again, as CREATED with revision 1
    #[arg(long)]
    republish: bool,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    config: ConfigFile,
}

pub async fn rewind(arguments: RewindArguments) -> Result<ExitCode, Failure> {
    let to = Moment::parse(&arguments.to).map_err(AdminError::from)?;
    let config = load(&arguments.config)?;
    let admin = StateAdmin::open(&config).await?;
    // A name that does not exist need not wait for replicas to be gone.
    admin.account(&arguments.name).await?;
    let work = async |seat: &_| rewind::carry_out(&admin, seat, &arguments.name, to, arguments.republish).await;
    let rewound = seated(&admin, &arguments.wait, work).await?;
    let mut out = anstream::stdout();
    Ok(written(rewound.iter().try_for_each(|stream| tell(&arguments.name, stream, &mut out)), DONE))
}

fn tell(name: &str, rewound: &Rewound, out: &mut impl Write) -> io::Result<()> {
    let Rewound { stream, what } = rewound;
    let to = what.to;
    let length = |parts: &[Interval]| short(parts.iter().map(|part| part.length()).sum::<Duration>());
    if !what.read_again.is_empty() {
        writeln!(out, "{name}, {stream}: what started from {to} on is read again, {}", length(&what.read_again))?;
    }
    if let Some(new) = what.newly_read {
        writeln!(out, "{name}, {stream}: reading starts at {to} instead of {}", new.till)?;
    }
    if !what.published_again.is_empty() {
        let till = what.floor;
        writeln!(
            out,
            "{name}, {stream}: calls that started before {till} are published again, as CREATED with revision 1"
        )?;
    }
    writeln!(out, "start callfeed to go on")
}

/// Forget all that is stored of an account: it begins anew, and all its calls since `start_from` are published again
///
/// Consumers get each of these calls again as CREATED with revision 1. For an account that is gone from the configuration,
/// this removes what it left behind.
#[derive(clap::Args)]
#[command(after_help = "Example: callfeed state forget acme --config callfeed.yaml\n\
     Exits with 1 while a replica runs")]
pub struct ForgetArguments {
    /// The account, exactly; each customer of an agency is one of its own, NAME.ID
    name: String,

    #[command(flatten)]
    wait: Wait,

    #[command(flatten)]
    config: ConfigFile,
}

pub async fn forget(arguments: ForgetArguments) -> Result<ExitCode, Failure> {
    let config = load(&arguments.config)?;
    let admin = StateAdmin::open(&config).await?;
    let name = &arguments.name;
    admin.account(name).await?;
    let work = async |seat: &_| forget::carry_out(&admin, seat, name).await;
    let forgotten = seated(&admin, &arguments.wait, work).await?;
    Ok(written(tell_forgotten(name, &forgotten, &mut anstream::stdout()), DONE))
}

fn tell_forgotten(name: &str, forgotten: &Forgotten, out: &mut impl Write) -> io::Result<()> {
    let streams = forgotten.streams.iter().cloned().collect::<Vec<_>>().join(", ");
    writeln!(out, "{name}: forgotten ({streams}, {} records)", forgotten.keys)?;
    match forgotten.known {
        Known::Yes => {
            writeln!(out, "it begins anew with the next start, and its calls since `start_from` are published again")
        }
        Known::Disabled => {
            writeln!(out, "it begins anew when it is enabled, and its calls since `start_from` are published again")
        }
        Known::No => writeln!(out, "the configuration does not know it, so nothing is read of it any more"),
    }
}
