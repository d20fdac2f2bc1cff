//! `rsachat bench`: puts a server under load, and says what was measured.

mod spawn;
mod words;

use std::fs;
use std::net::ToSocketAddrs as _;
use std::path::Path;
use std::time::Instant;

use serde::Serialize;

use self::spawn::Spawned;
use crate::cli::{BenchCommand, FanOutArgs, IdleArgs, LoadArgs, StormArgs};
use crate::client::address::Address;
use crate::error::{Context as _, Error, Exit};
use crate::hub::UNACKNOWLEDGED;
use crate::keys::identity::{self, KeyFile};
use crate::load::{self, Amount, Crowd, Entry, FanOut, Faults, Identity, LoadError, Pace, Process, Stage, Target};
use crate::proto::link::Ended;
use crate::server::raise_file_limit;
use crate::term::{Progress, Term, sanitise};

/// Users that are made where nothing else decides how many.
const USERS: u32 = 4;
/// The most users that are made: a key takes a second.
const MOST_USERS: u32 = 16;

const WHICH: &str = "--spawn starts a server, HOST[:PORT] --identities DIR --server-key FILE names one";

pub(super) fn run(term: &Term, command: &BenchCommand) -> Result<(), Error> {
    match command {
        BenchCommand::FanOut(args) => fan_out(term, args),
        BenchCommand::Storm(args) => storm(term, args),
        BenchCommand::Idle(args) => idle(term, args),
    }
}

/// What is measured, and with whom.
struct Stand {
    crowd: Crowd,
    process: Option<Process>,
    spawned: Option<Spawned>,
}

impl Stand {
    fn new(term: &Term, args: &LoadArgs, connections: u32, users: u32) -> Result<Self, Error> {
        raise_file_limit(connections);
        let (target, identities, spawned) = if args.spawn {
            let (spawned, identities) = Spawned::start(term, args.config.clone(), connections, users)?;
            (spawned.target(), identities, Some(spawned))
        } else {
            let missing = |what| Error::usage(format_args!("no {what} given")).hint(WHICH);
            let server = args.server.as_ref().ok_or_else(|| missing("server"))?;
            let identities = args.identities.as_ref().ok_or_else(|| missing("--identities"))?;
            let key = args.server_key.as_ref().ok_or_else(|| missing("--server-key"))?;
            let target = Target { address: resolve(server)?, key: identity::read_public(key)? };
            (target, read_identities(identities)?, None)
        };
        let process = spawned.as_ref().map(Spawned::process).or(args.pid.map(Process));
        let crowd = Crowd::new(target, identities).map_err(Error::failure)?;
        Ok(Self { crowd, process, spawned })
    }
}

fn fan_out(term: &Term, args: &FanOutArgs) -> Result<(), Error> {
    let pace = args.rate.map_or(Pace::Window(args.window), Pace::Rate);
    let senders = args.senders.min(args.clients);
    // What the senders of one user have under way has to be within what the server allows a user.
    let users = match pace {
        Pace::Rate(_) => USERS,
        Pace::Window(window) => senders.div_ceil((UNACKNOWLEDGED / window).max(1)).max(USERS),
    };
    if users > MOST_USERS {
        let error =
            Error::usage(format_args!("{senders} senders with {} messages under way each are too many", args.window));
        let most = UNACKNOWLEDGED / senders.div_ceil(MOST_USERS);
        return Err(error.hint(format_args!("--window {}, or fewer --senders", most.max(1))));
    }
    let mut stand = Stand::new(term, &args.load, args.clients, users)?;
    let bar = term.progress();
    let mut progress = |stage, done| show(&bar, stage, done);
    let clients = args.clients as usize;
    let plan = FanOut {
        senders: senders as usize,
        size: args.size as usize,
        pace,
        amount: args.count.map_or(Amount::Time(args.duration), Amount::Count),
    };
    let report = load::fan_out(&mut stand.crowd, clients, &plan, stand.process, &mut progress)
        .map_err(|error| failed(&error))?;
    drop(bar);
    tell(term, &args.load, &report, || words::fan_out(&report))?;
    judge(&report.faults)
}

fn storm(term: &Term, args: &StormArgs) -> Result<(), Error> {
    let mut stand = Stand::new(term, &args.load, args.clients, USERS)?;
    let bar = term.progress();
    let mut progress = |stage, done| show(&bar, stage, done);
    let entry = if args.resumed || args.restart { Entry::Resumed } else { Entry::Full };
    let (clients, parallel) = (args.clients as usize, args.parallel as usize);
    let mut report = load::storm(&mut stand.crowd, clients, parallel, entry, stand.process, &mut progress)
        .map_err(|error| failed(&error))?;
    if let Some(spawned) = stand.spawned.as_mut().filter(|_| args.restart) {
        let fallen = Instant::now();
        let (crowd, progress) = (&mut stand.crowd, &mut progress);
        report = std::thread::scope(|scope| {
            let server = scope.spawn(move || spawned.restart());
            let report = load::come_back(crowd, fallen, progress).map_err(|error| failed(&error));
            server.join().map_err(|_| Error::failure("the server could not be started again"))??;
            report
        })?;
    }
    drop(bar);
    tell(term, &args.load, &report, || words::storm(&report))
}

fn idle(term: &Term, args: &IdleArgs) -> Result<(), Error> {
    let mut stand = Stand::new(term, &args.load, args.clients, USERS)?;
    let bar = term.progress();
    let mut progress = |stage, done| show(&bar, stage, done);
    let report = load::idle(&mut stand.crowd, args.clients as usize, args.duration, stand.process, &mut progress)
        .map_err(|error| failed(&error))?;
    drop(bar);
    tell(term, &args.load, &report, || words::idle(&report))?;
    judge(&Faults { disconnected: report.disconnected, ..Faults::default() })
}

fn tell(term: &Term, args: &LoadArgs, report: &impl Serialize, words: impl FnOnce() -> String) -> Result<(), Error> {
    if args.json { term.out(serde_json::to_string(report).map_err(Error::failure)?) } else { term.out(words()) }
}

fn judge(faults: &Faults) -> Result<(), Error> {
    if faults.is_empty() {
        return Ok(());
    }
    let Faults { lost, duplicated, disordered, refused, unacknowledged, disconnected, first_reason } = faults;
    let named = [
        (lost, "lost"),
        (duplicated, "duplicated"),
        (disordered, "out of order"),
        (refused, "refused"),
        (unacknowledged, "not acknowledged"),
        (disconnected, "connections ended"),
    ];
    let named: Vec<String> =
        named.iter().filter(|(count, _)| **count > 0).map(|(count, what)| format!("{count} {what}")).collect();
    let reason = first_reason.as_ref().map(|reason| format!(": {}", sanitise(reason))).unwrap_or_default();
    Err(Error::refused(format_args!("{}{reason}", named.join(", "))))
}

fn show(bar: &Progress, stage: Stage, done: f64) {
    let text = match stage {
        Stage::Connecting => "connecting",
        Stage::WarmingUp => "warming up",
        Stage::Measuring => "measuring",
        Stage::Finishing => "finishing",
    };
    bar.set(text, done);
}

fn failed(error: &LoadError) -> Error {
    let text = sanitise(&error.to_string()).into_owned();
    match error {
        LoadError::Refused(..) => Error::refused(text),
        LoadError::Lost(_, Ended::Refused(refusal)) if refusal.retry_after_s == 0 => Error::authentication(text)
            .hint("the users of --identities have to be registered with the server, and --server-key be its key"),
        LoadError::Lost(_, Ended::Refused(_) | Ended::Closed(_)) => Error::refused(text).hint(
            "the server's limits have to allow for all connections from one address; fewer at a time: --parallel",
        ),
        LoadError::Lost(..) | LoadError::Slow(..) => Error::network(text),
        LoadError::System(_) => Error::new(Exit::Failure, text).hint("ulimit -n has to be above --clients"),
    }
}

fn resolve(server: &str) -> Result<std::net::SocketAddr, Error> {
    let target = Address::parse(server)?.server.target;
    let (host, port) = (target.host, target.port);
    let mut addresses = (host.as_str(), port)
        .to_socket_addrs()
        .map_err(|error| Error::network(error).context(format_args!("can't find {host}")))?;
    addresses.next().ok_or_else(|| Error::network(format_args!("{host} has no address")))
}

/// The users whose private keys are in a directory.
fn read_identities(directory: &Path) -> Result<Vec<Identity>, Error> {
    let mut identities = Vec::new();
    for entry in fs::read_dir(directory).context(|| directory.display().to_string())? {
        let path = entry.context(|| directory.display().to_string())?.path();
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let user = name.strip_prefix("key_").and_then(|name| name.strip_suffix(".private.pem"));
        let Some(user) = user.and_then(|user| user.parse().ok()) else { continue };
        identities.push(Identity { user, key: KeyFile::read(&path)?.open(None)? });
    }
    if identities.is_empty() {
        let error = Error::failure(format_args!("{} has no private keys", directory.display()));
        return Err(error.hint("rsachat keygen bench1 --no-passphrase makes key_bench1.private.pem"));
    }
    Ok(identities)
}
