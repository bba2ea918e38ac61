//! A client that does what generated ones do not: leaves deadlines to the server, sends half a request, sends rubbish.

use std::net::SocketAddr;

use h2::client::{ResponseFuture, SendRequest};
use http::Request;
use prost::Message;
use tokio::net::TcpStream;
use tonic::codegen::Bytes;
use tonic::{Code, Status};

#[derive(Clone)]
pub struct Client(SendRequest<Bytes>);

/// A call that was begun and whose message has not been sent.
pub struct Begun {
    response: ResponseFuture,
    body: h2::SendStream<Bytes>,
}

impl Client {
    pub async fn connect(address: SocketAddr) -> Client {
        let socket = TcpStream::connect(address).await.expect("a connection");
        socket.set_nodelay(true).expect("a socket");
        let (send, connection) = h2::client::handshake(socket).await.expect("HTTP/2");
        tokio::spawn(connection);
        Client(send)
    }

    /// Begins a call; the server has its headers, and waits for its message.
    pub async fn begin(&mut self, path: &str, timeout: Option<&str>) -> Begun {
        let mut request = Request::post(format!("http://surety{path}"))
            .header("content-type", "application/grpc")
            .header("te", "trailers");
        if let Some(timeout) = timeout {
            request = request.header("grpc-timeout", timeout);
        }
        let mut send = self.0.clone().ready().await.expect("the connection stands");
        let (response, body) = send.send_request(request.body(()).expect("headers"), false).expect("a stream");
        Begun { response, body }
    }

    /// A whole call with these bytes as its message.
    pub async fn send(&mut self, path: &str, message: &[u8], timeout: Option<&str>) -> Result<Bytes, Status> {
        self.begin(path, timeout).await.finish(message).await
    }

    pub async fn call<A: Message + Default>(
        &mut self,
        path: &str,
        request: &impl Message,
        timeout: Option<&str>,
    ) -> Result<A, Status> {
        let answer = self.send(path, &request.encode_to_vec(), timeout).await?;
        A::decode(answer).map_err(|e| Status::internal(e.to_string()))
    }
}

impl Begun {
    /// Sends the message and waits for the answer.
    pub async fn finish(mut self, message: &[u8]) -> Result<Bytes, Status> {
        let broken = |e: h2::Error| Status::new(Code::Unavailable, format!("the connection broke: {e}"));
        let mut frame = vec![0];
        frame.extend((message.len() as u32).to_be_bytes());
        frame.extend(message);
        // Who is answered before the message was sent may have closed the stream already.
        drop(self.body.send_data(Bytes::from(frame), true));
        let response = self.response.await.map_err(broken)?;
        if let Some(status) = Status::from_header_map(response.headers()) {
            return Err(status);
        }
        let mut body = response.into_body();
        let mut bytes = vec![];
        while let Some(data) = body.data().await {
            let data = data.map_err(broken)?;
            body.flow_control().release_capacity(data.len()).map_err(broken)?;
            bytes.extend(data);
        }
        let trailers = body.trailers().await.map_err(broken)?.expect("trailers");
        match Status::from_header_map(&trailers) {
            Some(status) if status.code() != Code::Ok => Err(status),
            _ => Ok(Bytes::from(bytes.split_off(5))),
        }
    }
}

impl Begun {
    /// Waits for the refusal of a call whose message is never sent.
    pub async fn headers_only(self) -> Status {
        let response = self.response.await.expect("an answer");
        Status::from_header_map(response.headers()).expect("a refusal")
    }
}
