//! A small blocking client of Redis: how tests look at a server without the client that they test.

use std::io::{ErrorKind, Read, Result, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use rustls::pki_types::ServerName;
use rustls::{ClientConnection, StreamOwned};

use super::certificates::client_config;
use super::resp::{Framer, Value, request};

/// How long it waits for an answer: a server that is paused or cut off fails a test rather than stop it.
const PATIENCE: Duration = Duration::from_secs(10);

trait Wire: Read + Write + Send {}
impl<T: Read + Write + Send> Wire for T {}

/// A connection.
pub struct Client {
    wire: Box<dyn Wire>,
    tcp: TcpStream,
    received: Vec<u8>,
    framer: Framer,
}

impl Client {
    pub fn connect(address: SocketAddr) -> Result<Client> {
        let tcp = dial(address)?;
        Ok(Client { wire: Box::new(tcp.try_clone()?), tcp, received: Vec::new(), framer: Framer::default() })
    }

    /// By TLS, with this process's authority and client certificate.
    pub fn connect_tls(address: SocketAddr) -> Result<Client> {
        let tcp = dial(address)?;
        let name = ServerName::from(address.ip());
        let session = ClientConnection::new(client_config(), name).map_err(std::io::Error::other)?;
        let wire = Box::new(StreamOwned::new(session, tcp.try_clone()?));
        Ok(Client { wire, tcp, received: Vec::new(), framer: Framer::default() })
    }

    /// How long the next answers may take before reading them is an error; 10 seconds if not said.
    pub fn wait_at_most(&self, time: Duration) -> Result<()> {
        self.tcp.set_read_timeout(Some(time))
    }

    /// Sends a request and reads its answer, a refusal of the server's being one. An error is one of the connection, which
    /// is of no use afterwards: a late answer would be taken for the next one.
    pub fn call<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<Value> {
        self.send(words)?;
        self.receive()
    }

    /// Sends a request; its answer has to be received later.
    pub fn send<W: AsRef<[u8]>>(&mut self, words: &[W]) -> Result<()> {
        self.wire.write_all(&request(words))?;
        self.wire.flush()
    }

    /// The next answer.
    pub fn receive(&mut self) -> Result<Value> {
        loop {
            let whole = self.framer.whole(&self.received);
            let whole = whole.map_err(|_| std::io::Error::new(ErrorKind::InvalidData, "the answer is not RESP"))?;
            if let Some(length) = whole {
                let (value, _) = Value::read(&self.received[..length]);
                self.received.drain(..length);
                return Ok(value);
            }
            let mut piece = [0; 16 * 1024];
            let read = self.wire.read(&mut piece)?;
            if read == 0 {
                return Err(ErrorKind::UnexpectedEof.into());
            }
            self.received.extend_from_slice(&piece[..read]);
        }
    }
}

fn dial(address: SocketAddr) -> Result<TcpStream> {
    let tcp = TcpStream::connect_timeout(&address, PATIENCE)?;
    tcp.set_read_timeout(Some(PATIENCE))?;
    tcp.set_write_timeout(Some(PATIENCE))?;
    tcp.set_nodelay(true)?;
    Ok(tcp)
}
