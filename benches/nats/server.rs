//! nats-server as a process: TLS with a certificate of its own, on a free port of loopback.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, Stdio};

use tempfile::TempDir;

use crate::support::process::Process;

const CONFIG: &str = "
host: 127.0.0.1
port: -1
tls {
    cert_file: \"cert.pem\"
    key_file: \"key.pem\"
    # Many connect at once, and the machine may be busy.
    timeout: 20
}
";

/// A server that accepts connections. Killed when dropped.
pub(crate) struct Server {
    process: Process,
    pub(crate) address: SocketAddr,
    directory: TempDir,
}

impl Server {
    /// Nothing if there is no nats-server on this machine.
    pub(crate) fn start() -> Option<Self> {
        let program = find()?;
        let directory = tempfile::tempdir().unwrap();
        make_certificate(directory.path());
        fs::write(directory.path().join("nats.conf"), CONFIG).unwrap();
        let mut command = Command::new(program);
        command.args(["--config", "nats.conf"]).current_dir(directory.path());
        let process = Process::start(&mut command);
        let announced = process.err.line(&["Listening for client connections on "]);
        let address = announced.rsplit(' ').next().unwrap().parse().unwrap();
        Some(Self { process, address, directory })
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// The certificate, in PEM.
    pub(crate) fn certificate(&self) -> Vec<u8> {
        fs::read(self.directory.path().join("cert.pem")).unwrap()
    }
}

/// Where it may be besides the search path, which for users often lacks the directories for servers.
fn find() -> Option<&'static str> {
    let mut programs = ["nats-server", "/usr/sbin/nats-server", "/usr/local/sbin/nats-server"].into_iter();
    programs.find(|program| {
        let version = Command::new(program).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
        version.is_ok_and(|status| status.success())
    })
}

fn make_certificate(directory: &Path) {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"])
        .args(["-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=127.0.0.1"])
        // Not a certificate authority: the client has it for its only root, and takes no authority for a server.
        .args(["-addext", "subjectAltName=IP:127.0.0.1", "-addext", "basicConstraints=critical,CA:FALSE"])
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
}
