//! rsachat's side of the comparison: a server of this build, and `rsachat::load`.

use rsachat::crypto::rsa::PrivateKey;
use rsachat::load::{self, Crowd, FanOut, Identity, Process, Target};
use serde_json::json;

use crate::MOST_MEMBERS;
use crate::outcome::Outcome;
use crate::support::data_dir::{DataDir, pem, server_key};
use crate::support::server::Server;

/// A server, and everybody who will connect to it.
pub(crate) struct Ours {
    server: Server,
    crowd: Crowd,
    _directory: DataDir,
}

impl Ours {
    pub(crate) fn start() -> Self {
        // Those of the last round may not have left yet.
        let connections = 2 * MOST_MEMBERS + 100;
        let directory = DataDir::new(json!({
            "max_connections": connections,
            "max_connections_per_address": 0,
            "max_connections_per_user": connections,
            "handshakes_per_second_per_address": 0,
            "message_rate": 100_000,
            "message_burst": 100_000,
            "join_backlog": 0,
        }));
        let server = Server::start(&directory);
        let target = Target { address: server.address, key: server_key().clone() };
        let identities = ["alice", "bob", "mallory"].map(|user| Identity {
            user: user.parse().unwrap(),
            key: PrivateKey::from_pem(&pem(&format!("test_{user}.private.pem")), None).unwrap(),
        });
        Self { server, crowd: Crowd::new(target, identities.into()).unwrap(), _directory: directory }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.server.pid()
    }

    /// One round, with connections of its own.
    pub(crate) fn fan_out(&mut self, members: usize, plan: &FanOut) -> Outcome {
        let process = Process(self.server.pid());
        let report = load::fan_out(&mut self.crowd, members, plan, Some(process), &mut |_, _| {}).unwrap();
        self.crowd.leave();
        Outcome::of(report)
    }
}
