//! What can be typed after `rsachat bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};

/// Put a server under load, and measure it
///
/// Many connections from one thread, as users would make them: each authenticates, joins #common, and gets what is said
/// there. Every message is followed to every connection, so that one that is lost, comes twice or out of order is
/// noticed: that, or a refusal, makes the exit status 6.
#[derive(Debug, Args)]
#[command(after_long_help = BENCH_MORE)]
pub struct BenchArgs {
    /// What to measure
    #[command(subcommand)]
    pub command: BenchCommand,
}

const BENCH_MORE: &str = "\
Examples:
  rsachat bench fan-out --spawn
  rsachat bench fan-out --spawn --clients 1000 --rate 20 --duration 1m
  rsachat bench storm --spawn --clients 10000 --resumed
  rsachat bench storm --spawn --clients 10000 --restart
  rsachat bench idle --spawn --clients 10000
  rsachat bench fan-out chat.example.org --identities bench/ --server-key server_public_key.pem

Reading the figures:
  accepted    Messages that the server has acknowledged, which means that they
              are on its disk.
  delivered   Messages that reached a connection: every message reaches every
              connection in the room, its sender's included.
  delivery    How long that took. With --rate, from when the message was to be
              sent, even if something held that up, so that a stall is not
              hidden by what was not sent meanwhile. With --window there is no
              such time: the server is kept as busy as it can be, and the times
              say how long its queues are, not how fast it is.
  acceptance  The same until the sender's acknowledgement. It contains a write
              to the disk that waits until the disk has it.
  server      Processor time and resident memory of the server's process, if it
              runs on this machine and is known: with --spawn, or by --pid.
  load        Processor time of this side. Near one core, the load is the limit
              and not the server: the server's own processor time still counts.

Planning capacity:
  Measure on the machine that will be the server, with as many --clients as
  there will be people, and a --rate of what they say at the busiest time
  (thousands of people in a room rarely say more than a few messages a second).
  Delivery should stay far below what people notice (100 ms), and the server
  below half a core for each that it has. Then measure the worst moment,
  everybody coming back at once after a restart: storm --restart. Memory is what
  idle says, times the connections. Run it three times and take the middle: the
  speed of a shared machine changes within minutes.

A server of your own:
  For each of a few throwaway users: rsachat keygen bench1 --no-passphrase,
  their key_USER.pem into the server's keys/, their key_USER.private.pem into a
  directory for --identities. All connections come from one address and from
  those users: max_connections_per_address, max_connections_per_user,
  message_rate and message_burst have to allow for that. What is sent goes to
  #common, for everybody to see.";

/// What can be measured.
#[derive(Debug, Subcommand)]
pub enum BenchCommand {
    /// Messages to a room: some of its members send, all of them get everything
    FanOut(FanOutArgs),
    /// Connections: how many are taken a second, and what each costs
    Storm(StormArgs),
    /// Connections on which nothing happens: what they cost all the same
    Idle(IdleArgs),
}

/// Which server, and how to tell what was found.
#[derive(Debug, Args)]
pub struct LoadArgs {
    /// The server
    #[arg(value_name = "HOST[:PORT]", value_hint = ValueHint::Hostname,
          help = "The server, as HOST, HOST:PORT or [IPV6]:PORT [default port: 5000]")]
    pub server: Option<String>,
    /// Start a server for it, on the loopback interface, with throwaway keys in a temporary directory
    #[arg(long, conflicts_with_all = ["server", "identities", "server_key", "pid"])]
    pub spawn: bool,
    /// Settings of the server that is started; what limits one user or one address is lifted
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, requires = "spawn")]
    pub config: Option<PathBuf>,
    /// A directory with key_USER.private.pem of users of the server, not encrypted
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub identities: Option<PathBuf>,
    /// The server's public key
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub server_key: Option<PathBuf>,
    /// The server's process, if it runs on this machine
    #[arg(long, value_name = "PID")]
    pub pid: Option<u32>,
    /// Print what was found as a JSON object
    #[arg(long)]
    pub json: bool,
}

/// How messages are sent to a room.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rsachat bench fan-out --spawn --clients 100 --rate 20")]
pub struct FanOutArgs {
    /// The server
    #[command(flatten)]
    pub load: LoadArgs,
    /// Connections in the room
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub clients: u32,
    /// How many of them send
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub senders: u32,
    /// Bytes of each message
    #[arg(long, value_name = "BYTES", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=14_000))]
    pub size: u32,
    /// Messages a second, of all senders together
    #[arg(long, value_name = "N", conflicts_with = "window", value_parser = rate)]
    pub rate: Option<f64>,
    /// As fast as the server goes: messages of each sender that are not acknowledged yet
    #[arg(long, value_name = "N", default_value_t = 64, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub window: u32,
    /// How long, as 10s or 2m
    #[arg(long, value_name = "TIME", default_value = "10s", value_parser = time, conflicts_with = "count")]
    pub duration: Duration,
    /// How many messages
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
}

/// How connections are made.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rsachat bench storm --spawn --clients 10000 --restart")]
pub struct StormArgs {
    /// The server
    #[command(flatten)]
    pub load: LoadArgs,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub clients: u32,
    /// How many are made at a time
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub parallel: u32,
    /// By tickets, as clients come back; otherwise by RSA keys
    #[arg(long)]
    pub resumed: bool,
    /// When all are in, kill the server, start it again, and measure how long it is until all are back by themselves
    #[arg(long, requires = "spawn")]
    pub restart: bool,
}

/// How long connections are left alone.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  rsachat bench idle --spawn --clients 10000 --duration 1m")]
pub struct IdleArgs {
    /// The server
    #[command(flatten)]
    pub load: LoadArgs,
    /// Connections
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub clients: u32,
    /// How long, as 10s or 2m
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = time)]
    pub duration: Duration,
}

fn rate(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(rate) if (0.001..=10_000_000.0).contains(&rate) => Ok(rate),
        _ => Err("a number from 0.001 to 10000000 is expected".to_owned()),
    }
}

fn time(text: &str) -> Result<Duration, String> {
    let time = text.parse::<jiff::SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    let in_range = time.filter(|time| (Duration::from_millis(1)..=Duration::from_secs(86_400)).contains(time));
    in_range.ok_or_else(|| "a time up to a day is expected, as 10s or 2m".to_owned())
}
