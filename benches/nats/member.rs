//! A NATS client that does what is measured and no more: one subject, TLS 1.3 with AES-256-GCM, no copies beyond those
//! that rustls makes.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Instant;

use mio::net::TcpStream;
use rustls::client::UnbufferedClientConnection;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::unbuffered::{ConnectionState, UnbufferedStatus};
use rustls::{CipherSuite, ClientConfig, RootCertStore, version};

const SUBJECT: &str = "room";
/// The most that a record of TLS adds to what it carries, twice over.
const RECORD_OVERHEAD: usize = 64;

/// Trusts this certificate, and agrees to nothing but AES-256-GCM.
pub(crate) fn config(certificate: &[u8]) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(certificate).unwrap()).unwrap();
    let provider = CryptoProvider {
        cipher_suites: vec![ring::cipher_suite::TLS13_AES_256_GCM_SHA384],
        ..ring::default_provider()
    };
    let builder = ClientConfig::builder_with_provider(Arc::new(provider));
    let builder = builder.with_protocol_versions(&[&version::TLS13]).unwrap();
    Arc::new(builder.with_root_certificates(roots).with_no_client_auth())
}

/// A connection that has subscribed.
pub(crate) struct Member {
    pub(crate) stream: TcpStream,
    tls: UnbufferedClientConnection,
    // Requests that are not sealed yet, and records that the socket has not taken yet.
    requests: Vec<u8>,
    unsent: Vec<u8>,
    // The beginning of a record, and the beginning of a message, whose ends have not come yet.
    sealed: Vec<u8>,
    opened: Vec<u8>,
}

impl Member {
    /// Connects and subscribes, waiting for it.
    pub(crate) fn enter(address: SocketAddr, config: &Arc<ClientConfig>) -> Self {
        let mut stream = std::net::TcpStream::connect(address).unwrap();
        stream.set_nodelay(true).unwrap();
        // Nothing follows this line before the client has begun TLS, so the reader takes no more than it.
        let mut info = String::new();
        BufReader::new(&mut stream).read_line(&mut info).unwrap();
        assert!(info.starts_with("INFO ") && info.contains("\"tls_required\":true"), "{info}");

        let mut tls =
            UnbufferedClientConnection::new(Arc::clone(config), ServerName::IpAddress(address.ip().into())).unwrap();
        shake_hands(&mut tls, &mut stream);
        assert_eq!(tls.negotiated_cipher_suite().unwrap().suite(), CipherSuite::TLS13_AES_256_GCM_SHA384);
        let mut member = Self {
            stream: TcpStream::from_std(stream.try_clone().unwrap()),
            tls,
            requests: Vec::new(),
            unsent: Vec::new(),
            sealed: Vec::new(),
            opened: Vec::new(),
        };
        let connect = "CONNECT {\"verbose\":false,\"pedantic\":false,\"tls_required\":true,\"echo\":true}";
        member.requests.extend_from_slice(format!("{connect}\r\nSUB {SUBJECT} 1\r\nPING\r\n").as_bytes());
        member.flush();
        let mut buffer = vec![0; 4096];
        let mut is_subscribed = false;
        while !is_subscribed {
            let count = stream.read(&mut buffer).unwrap();
            assert!(count > 0, "nats-server hung up");
            member.received(buffer.get_mut(..count).unwrap(), |heard| is_subscribed |= matches!(heard, Heard::Pong));
        }
        stream.set_nonblocking(true).unwrap();
        member
    }

    /// Whether there is so much to send that more would only be kept here.
    pub(crate) fn is_clogged(&self) -> bool {
        self.requests.len() + self.unsent.len() > 1 << 20
    }

    /// Queues a message, for the next [`flush`](Self::flush).
    pub(crate) fn publish(&mut self, message: &[u8]) {
        write!(self.requests, "PUB {SUBJECT} {}\r\n", message.len()).unwrap();
        self.requests.extend_from_slice(message);
        self.requests.extend_from_slice(b"\r\n");
    }

    /// Reads what there is, and tells of each message with the time at which it was read.
    pub(crate) fn advance(&mut self, buffer: &mut [u8], mut said: impl FnMut(&[u8], Instant)) {
        self.flush();
        loop {
            let count = match self.stream.read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                result => result.unwrap(),
            };
            let now = Instant::now();
            assert!(count > 0, "nats-server hung up");
            let is_last = count < buffer.len();
            let mut is_asked = false;
            self.received(buffer.get_mut(..count).unwrap(), |heard| match heard {
                Heard::Said(message) => said(message, now),
                Heard::Ping => is_asked = true,
                Heard::Pong => {}
            });
            if is_asked {
                self.requests.extend_from_slice(b"PONG\r\n");
            }
            if is_last {
                break;
            }
        }
        self.flush();
    }

    fn received(&mut self, bytes: &mut [u8], mut heard: impl FnMut(Heard<'_>)) {
        let Self { tls, sealed, opened, .. } = self;
        if sealed.is_empty() {
            let used = open(tls, bytes, opened, &mut heard);
            sealed.extend_from_slice(bytes.get(used..).unwrap());
        } else {
            sealed.extend_from_slice(bytes);
            let used = open(tls, sealed, opened, &mut heard);
            sealed.drain(..used);
        }
    }

    /// Sends what the socket takes.
    pub(crate) fn flush(&mut self) {
        if !self.requests.is_empty() {
            let start = self.unsent.len();
            // One for each record, of which a full one carries 16 KiB.
            let most = self.requests.len() + RECORD_OVERHEAD * (self.requests.len() / 16_384 + 1);
            self.unsent.resize(start + most, 0);
            let count = match self.tls.process_tls_records(&mut []).state.unwrap() {
                ConnectionState::WriteTraffic(mut traffic) => {
                    traffic.encrypt(&self.requests, self.unsent.get_mut(start..).unwrap()).unwrap()
                }
                state => panic!("can't write: {state:?}"),
            };
            self.unsent.truncate(start + count);
            self.requests.clear();
        }
        let mut sent = 0;
        while let Some(rest) = self.unsent.get(sent..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(count) => sent += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) => panic!("can't write: {error}"),
            }
        }
        self.unsent.drain(..sent);
    }
}

/// What a server says.
enum Heard<'a> {
    Said(&'a [u8]),
    Ping,
    Pong,
}

/// Opens the whole records of `bytes` where they stand, and tells what they say. Returns how many bytes they are.
fn open(
    tls: &mut UnbufferedClientConnection,
    bytes: &mut [u8],
    opened: &mut Vec<u8>,
    heard: &mut impl FnMut(Heard<'_>),
) -> usize {
    let mut used = 0;
    loop {
        let UnbufferedStatus { discard, state, .. } = tls.process_tls_records(bytes.get_mut(used..).unwrap());
        used += discard;
        match state.unwrap() {
            ConnectionState::ReadTraffic(mut traffic) => {
                while let Some(record) = traffic.next_record() {
                    let record = record.unwrap();
                    used += record.discard;
                    if opened.is_empty() {
                        let told = tell(record.payload, heard);
                        opened.extend_from_slice(record.payload.get(told..).unwrap());
                    } else {
                        opened.extend_from_slice(record.payload);
                        let told = tell(opened, heard);
                        opened.drain(..told);
                    }
                }
            }
            ConnectionState::WriteTraffic(_) => return used,
            state => panic!("nats-server ended TLS: {state:?}"),
        }
    }
}

/// Tells what the whole messages of `text` say. Returns how many bytes they are.
fn tell(text: &[u8], heard: &mut impl FnMut(Heard<'_>)) -> usize {
    let mut told = 0;
    loop {
        let rest = text.get(told..).unwrap();
        let Some(end) = rest.iter().position(|byte| *byte == b'\n') else { return told };
        let line = rest.get(..end).unwrap().trim_ascii_end();
        let mut length = end + 1;
        if line.starts_with(b"MSG ") {
            let size = line.rsplit(|byte| *byte == b' ').next().unwrap();
            let size = size.iter().fold(0, |size, digit| size * 10 + usize::from(digit - b'0'));
            let Some(message) = rest.get(length..length + size) else { return told };
            length += size + 2;
            if rest.len() < length {
                return told;
            }
            heard(Heard::Said(message));
        } else {
            match line {
                b"PING" => heard(Heard::Ping),
                b"PONG" => heard(Heard::Pong),
                // Once more, after TLS.
                _ if line.starts_with(b"INFO ") => {}
                _ => panic!("nats-server says {}", String::from_utf8_lossy(line)),
            }
        }
        told += length;
    }
}

fn shake_hands(tls: &mut UnbufferedClientConnection, stream: &mut std::net::TcpStream) {
    let (mut received, mut used) = (vec![0; 16 * 1024], 0);
    let mut unsent = Vec::new();
    loop {
        let UnbufferedStatus { discard, state, .. } = tls.process_tls_records(received.get_mut(..used).unwrap());
        let mut is_blocked = false;
        match state.unwrap() {
            ConnectionState::EncodeTlsData(mut data) => {
                let start = unsent.len();
                unsent.resize(start + 4096, 0);
                let count = data.encode(unsent.get_mut(start..).unwrap()).unwrap();
                unsent.truncate(start + count);
            }
            ConnectionState::TransmitTlsData(data) => {
                stream.write_all(&unsent).unwrap();
                unsent.clear();
                data.done();
            }
            ConnectionState::BlockedHandshake => is_blocked = true,
            // The client is done first: nothing of the server's is left to read before it hears from the client.
            ConnectionState::WriteTraffic(_) => return,
            state => panic!("nats-server ended TLS: {state:?}"),
        }
        received.copy_within(discard..used, 0);
        used -= discard;
        if is_blocked {
            let count = stream.read(received.get_mut(used..).unwrap()).unwrap();
            assert!(count > 0, "nats-server hung up");
            used += count;
        }
    }
}
