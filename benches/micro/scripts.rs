//! The Redis script that makes batches, on a Redis of its own: from the bytes that are sent to the answer, without the rest of the
//! ledger. Skipped, and said, where there is no redis-server.

use criterion::{BatchSize, Criterion};
use redis::{Connection, ConnectionLike, Value};
use surety::ledger::redis::measured::{COMMIT, Holds};

use super::redis as server;
use super::scenarios::workshop::holds;

fn connect(server: &server::Server) -> Connection {
    redis::Client::open(server.url()).expect("an address").get_connection().expect("a connection")
}

pub fn commits(c: &mut Criterion) {
    let Some(server) = server::Server::start(false) else { return };
    let mut connection = connect(&server);
    let sha: String =
        redis::cmd("SCRIPT").arg("LOAD").arg(COMMIT).query(&mut connection).expect("the script is taken up");
    let mut group = c.benchmark_group("scripts");
    let (mut calls, mut next) = (0, 0);
    for size in [1, 8, 32] {
        let name = format!("commit_batch_of_{size}");
        let write = |calls: &mut u64, next: &mut usize| {
            *calls += 1;
            *next += size;
            Holds::of(&holds(*next - size..*next)).call(&sha, *calls)
        };
        let made = connection.req_packed_command(&write(&mut calls, &mut next)).expect("an answer");
        assert!(matches!(&made, Value::Array(parts) if parts[6] == Value::BulkString(vec![b'A'; size])), "{made:?}");
        group.bench_function(name, |b| {
            b.iter_batched(
                || write(&mut calls, &mut next),
                |call| connection.req_packed_command(&call).expect("an answer"),
                BatchSize::SmallInput,
            );
        });
    }
    group.finish();
}
