//! One connection through the proxy: what is read on one side, and when it is written on the other.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, sleep_until};

use super::super::dice::Dice;
use super::super::resp::{Framer, NotResp, command};
use super::{Fault, Gate, Weather, World};

/// Pieces that are under way in one direction before reading waits.
const UNDER_WAY: usize = 4_096;

/// What becomes of the answer to a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Answer {
    Pass,
    /// It answers a run that the client knows nothing of.
    Swallow,
    /// It is lost, and the connection with it.
    Lose,
}

/// Bytes that get to the other side at an instant.
struct Piece {
    due: Instant,
    bytes: Vec<u8>,
    /// What becomes of the answers to them, in their order.
    answers: Vec<Answer>,
    /// Comes a second time, so much later.
    echo: Option<Duration>,
    /// Whether this opens a transaction or goes on with one, which nothing may come between.
    in_transaction: bool,
    /// From here on answers can't be paired with requests.
    begins_stream: bool,
}

impl Piece {
    fn plain(due: Instant, bytes: Vec<u8>) -> Piece {
        Piece { due, bytes, answers: Vec::new(), echo: None, in_transaction: false, begins_stream: false }
    }
}

/// What both directions of a connection know.
#[derive(Default)]
struct Link {
    /// For each request that the server has and has not answered.
    expected: Mutex<VecDeque<Answer>>,
    /// A request was written since which answers can't be paired with requests: they pass as they come.
    stream: AtomicBool,
}

impl Link {
    fn expect(&self, answers: &[Answer]) {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).extend(answers);
    }

    fn answered(&self) -> Option<Answer> {
        self.expected.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }

    /// Whether answers pass unseen; not before those that were paired are through.
    fn is_stream(&self) -> bool {
        self.stream.load(Ordering::Acquire) && self.expected.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }
}

/// Counts a connection as open while it lives, however it ends.
struct Open(Arc<World>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.open.fetch_sub(1, std::sync::atomic::Ordering::AcqRel);
    }
}

/// Serves a client until either side closes or the weather does.
pub(super) async fn serve(client: TcpStream, world: Arc<World>, dice: Dice) {
    world.open.fetch_add(1, Ordering::AcqRel);
    world.count(|counts| counts.connections += 1);
    let _open = Open(Arc::clone(&world));
    let mut weather = world.weather.subscribe();
    let epoch = weather.borrow().epoch;
    tokio::select! {
        () = pass(client, Arc::clone(&world), dice) => {}
        _closed = weather.wait_for(|now| matches!(now.gate, Gate::Refuse | Gate::End) || now.epoch != epoch) => {}
    }
}

async fn pass(client: TcpStream, world: Arc<World>, dice: Dice) {
    let mut weather = world.weather.subscribe();
    open(&mut weather).await;
    let Ok(server) = TcpStream::connect(world.target).await else { return };
    let (Ok(()), Ok(())) = (client.set_nodelay(true), server.set_nodelay(true)) else { return };
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    let link = Arc::new(Link::default());
    let (requests, requests_due) = mpsc::channel(UNDER_WAY);
    let (answers, answers_due) = mpsc::channel(UNDER_WAY);
    let delay_dice = Dice::seeded(world.seed ^ 0x5eed);
    let up = async {
        tokio::join!(
            read_requests(from_client, requests, Arc::clone(&world), dice),
            write(requests_due, to_server, Arc::clone(&world), Arc::clone(&link)),
        )
    };
    let down = async {
        tokio::join!(
            read_answers(from_server, answers, Arc::clone(&world), Arc::clone(&link), delay_dice),
            write(answers_due, to_client, Arc::clone(&world), Arc::new(Link::default())),
        )
    };
    // Each ends when what it had read is written. Both ends are closed when either does.
    tokio::select! { _ = up => {}, _ = down => {} }
}

async fn open(weather: &mut watch::Receiver<Weather>) {
    // An error means that the proxy is gone, and this task will be.
    let _gone = weather.wait_for(|now| now.gate == Gate::Open).await;
}

/// Reads requests and decides on each.
async fn read_requests(mut from: OwnedReadHalf, to: mpsc::Sender<Piece>, world: Arc<World>, mut dice: Dice) {
    let mut weather = world.weather.subscribe();
    let mut read = Vec::new();
    let mut framer = Framer::default();
    let mut stream = false;
    let mut transaction = false;
    let mut last_due = Instant::now();
    loop {
        open(&mut weather).await;
        if from.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
        while !read.is_empty() {
            let whole = if stream { Ok(Some(read.len())) } else { framer.whole(&read) };
            let length = match whole {
                Ok(None) => break,
                Ok(Some(length)) => length,
                Err(NotResp) => {
                    stream = true;
                    read.len()
                }
            };
            let bytes: Vec<u8> = read.drain(..length).collect();
            let mut piece = Piece::plain(due(&weather, &mut last_due, &mut dice), bytes);
            if !stream && !decide(&mut piece, &world, &mut transaction, &mut dice) {
                return;
            }
            stream |= piece.begins_stream;
            piece.begins_stream = stream;
            if to.send(piece).await.is_err() {
                return;
            }
        }
    }
}

/// What happens to one whole request. False if it is dropped.
fn decide(piece: &mut Piece, world: &World, transaction: &mut bool, dice: &mut Dice) -> bool {
    world.count(|counts| counts.requests += 1);
    let words = command(&piece.bytes);
    let name = words.first().map_or("", String::as_str);
    if ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "MONITOR", "PSYNC", "SYNC"].contains(&name) {
        piece.begins_stream = true;
        return true;
    }
    let ends = ["EXEC", "DISCARD"].contains(&name);
    let once = *transaction || ends || ["MULTI", "QUIT", "RESET"].contains(&name);
    *transaction = (*transaction || name == "MULTI") && !ends;
    piece.in_transaction = *transaction;
    let fault = world.fault(name, dice);
    piece.answers = match fault {
        Some(Fault::DropReply) => vec![Answer::Lose],
        Some(Fault::Duplicate) if !once => vec![Answer::Pass, Answer::Swallow],
        Some(Fault::Replay) if !once => vec![Answer::Swallow, Answer::Pass],
        _ => vec![Answer::Pass],
    };
    if piece.answers.len() == 2 {
        piece.bytes.extend_from_within(..);
    }
    match fault {
        Some(Fault::DropRequest) => {
            world.count(|counts| counts.requests_dropped += 1);
            return false;
        }
        Some(Fault::Duplicate) if !once => world.count(|counts| counts.duplicated += 1),
        Some(Fault::Replay) if !once => world.count(|counts| counts.replayed += 1),
        Some(Fault::Echo) if !once => piece.echo = Some(world.weather.borrow().echo_after),
        _ => {}
    }
    true
}

/// Reads answers, and leaves out or loses what is not for the client.
async fn read_answers(
    mut from: OwnedReadHalf,
    to: mpsc::Sender<Piece>,
    world: Arc<World>,
    link: Arc<Link>,
    mut dice: Dice,
) {
    let mut weather = world.weather.subscribe();
    let mut read = Vec::new();
    let mut framer = Framer::default();
    let mut last_due = Instant::now();
    loop {
        open(&mut weather).await;
        if from.read_buf(&mut read).await.unwrap_or(0) == 0 {
            return;
        }
        while !read.is_empty() {
            let stream = link.is_stream();
            let whole = if stream { Ok(Some(read.len())) } else { framer.whole(&read) };
            let length = match whole {
                Ok(None) => break,
                Ok(Some(length)) => length,
                // Not an answer of this protocol: the client will know what to do about it.
                Err(NotResp) => {
                    framer = Framer::default();
                    read.len()
                }
            };
            let bytes: Vec<u8> = read.drain(..length).collect();
            // What is pushed answers nothing.
            let answer = if stream || bytes[0] == b'>' { None } else { link.answered() };
            match answer {
                Some(Answer::Swallow) => continue,
                Some(Answer::Lose) => {
                    world.count(|counts| counts.replies_dropped += 1);
                    return;
                }
                Some(Answer::Pass) | None => {}
            }
            let piece = Piece::plain(due(&weather, &mut last_due, &mut dice), bytes);
            if to.send(piece).await.is_err() {
                return;
            }
        }
    }
}

/// When what was read now gets to the other side. Nothing overtakes what was before it.
fn due(weather: &watch::Receiver<Weather>, last: &mut Instant, dice: &mut Dice) -> Instant {
    let (min, max) = weather.borrow().delay;
    let delay = min + (max - min).mul_f64(dice.fraction());
    *last = (*last).max(Instant::now() + delay);
    *last
}

/// Writes each piece when it is due, and echoes between them.
async fn write(mut due: mpsc::Receiver<Piece>, mut to: OwnedWriteHalf, world: Arc<World>, link: Arc<Link>) {
    let mut weather = world.weather.subscribe();
    let mut echoes: VecDeque<(Instant, Vec<u8>)> = VecDeque::new();
    let mut in_transaction = false;
    loop {
        let echo_at = echoes.front().map(|(at, _)| *at).filter(|_| !in_transaction);
        let (bytes, answers) = tokio::select! {
            biased;
            () = sleep_until(echo_at.unwrap_or_else(Instant::now)), if echo_at.is_some() => {
                let Some((_, bytes)) = echoes.pop_front() else { continue };
                world.count(|counts| counts.echoed += 1);
                (bytes, vec![Answer::Swallow])
            }
            piece = due.recv() => {
                let Some(piece) = piece else { return };
                in_transaction = piece.in_transaction;
                sleep_until(piece.due).await;
                if piece.begins_stream {
                    echoes.clear();
                    link.stream.store(true, Ordering::Release);
                }
                if let Some(after) = piece.echo {
                    echoes.push_back((Instant::now() + after, piece.bytes.clone()));
                }
                (piece.bytes, piece.answers)
            }
        };
        open(&mut weather).await;
        // Before the bytes are written: the answer may come sooner than this goes on.
        link.expect(&answers);
        if to.write_all(&bytes).await.is_err() {
            return;
        }
    }
}
