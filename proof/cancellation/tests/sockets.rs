//! Connections that are lost after each step, and streams that end after each
//! byte, of a commit.

use std::collections::BTreeMap;

use tandem_proof_cancellation::sockets::{Client, Loss, Played, Script, Stand, on_a_runtime};

/// One connection, lost after step `at`. Whether it had committed.
async fn lose(played: &Played, room: usize, loss: Loss, at: u64) -> bool {
    let what = format!("{:?}, room {room}, {loss:?} lost after step {at}", played.script);
    let stand = Stand::new();
    let mut watcher = stand.watch().await;
    let (mut served, mut client) = stand.connect(room);
    client.outgoing = played.requests.concat();
    let total = client.outgoing.len();
    let (mut sent, mut begun) = (0, 0);
    stand
        .run(&mut served, &mut client, |step, served, client| {
            if step == at {
                (sent, begun) = (client.written, stand.queue.begun());
                loss.strike(&stand, served, client);
            }
        })
        .await;
    match loss {
        Loss::Future => assert!(client.ended, "{what}: the client's stream stays open"),
        Loss::Server => {
            // It answers the close, at last.
            client.close();
            stand.settle(&mut served, &mut client).await;
        }
        Loss::Client => {}
    }
    assert!(served.is_over(), "{what}: the connection is served for ever");
    let heard = client.answer(played.requests.len() as u64);
    let stopped = loss == Loss::Server;
    let outcome = if stopped {
        let left = stand.server.occupied();
        assert_eq!((left.transactions, left.subscriptions), (0, 0), "{what}");
        let stand = stand.succeeded();
        played.audit(&stand, None, true).await
    } else {
        played.audit(&stand, Some(&mut watcher), true).await
    };
    let committed = outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
    // What has begun is carried out. A client that has gone has what it had sent
    // whole carried out. A server that stops may begin one request more.
    let expected = match loss {
        Loss::Client => sent == total,
        Loss::Future => begun >= played.calls,
        Loss::Server => committed || begun >= played.calls,
    };
    assert_eq!(committed, expected, "{what}: sent {sent} of {total}, calls {begun}");
    assert!(heard.is_none() || committed, "{what}: answered, and not there");
    committed
}

#[test]
fn g1_g9_a_connection_lost_after_any_step_leaves_all_or_nothing() {
    on_a_runtime(async {
        let mut counts: BTreeMap<String, (u64, u64)> = BTreeMap::new();
        for script in Script::ALL {
            let played = Played::new(script).await;
            for loss in Loss::ALL {
                for room in [1 << 16, 40] {
                    // A narrow stream takes more steps: as many as there are.
                    let steps = steps_with(&played, room).await;
                    for at in 0..=steps {
                        let (all, nothing) = counts.entry(format!("{loss:?}")).or_default();
                        let count = if lose(&played, room, loss, at).await { all } else { nothing };
                        *count += 1;
                    }
                }
            }
        }
        println!("lost after a step: (all, nothing) {counts:?}");
        assert!(counts.values().all(|(all, nothing)| *all > 50 && *nothing > 50), "{counts:?}");
    });
}

async fn steps_with(played: &Played, room: usize) -> u64 {
    let stand = Stand::new();
    let _watcher = stand.watch().await;
    let (mut served, mut client) = stand.connect(room);
    client.outgoing = played.requests.concat();
    stand.run(&mut served, &mut client, |_, _, _| {}).await
}

/// After one byte in five somebody asks again; what is there is looked at each
/// time.
fn asks_again(bytes: usize) -> bool {
    bytes.is_multiple_of(5)
}

/// A client that writes so many bytes and closes.
async fn write(played: &Played, room: usize, bytes: usize) {
    let what = format!("{:?}, room {room}, closed after {bytes} bytes", played.script);
    let stand = Stand::new();
    let mut watcher = stand.watch().await;
    let (mut served, mut client) = stand.connect(room);
    let all = played.requests.concat();
    client.outgoing = all[..bytes].to_vec();
    let close = |client: &mut Client| {
        if client.outgoing.is_empty() {
            client.close();
        }
    };
    stand.run(&mut served, &mut client, |_, _, client| close(client)).await;
    assert!(served.is_over(), "{what}: the connection is served for ever");
    let outcome = played.audit(&stand, Some(&mut watcher), asks_again(bytes)).await;
    let committed = outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(committed, bytes == all.len(), "{what}");
}

/// A client that sends the next request when it has heard an answer, and closes
/// when it has read so many bytes. Whether it had committed.
async fn read(played: &Played, bytes: usize) -> bool {
    let what = format!("{:?}, closed after {bytes} bytes were read", played.script);
    let stand = Stand::new();
    let mut watcher = stand.watch().await;
    let (mut served, mut client) = stand.connect(1 << 16);
    client.reads_at_most = Some(bytes);
    let mut sent = 0;
    stand
        .run(&mut served, &mut client, |_, _, client| {
            // The welcome, then one answer for each request.
            if client.count_frames() > sent
                && let Some(request) = played.requests.get(sent)
            {
                client.outgoing.extend(request);
                sent += 1;
            }
        })
        .await;
    client.close();
    stand.settle(&mut served, &mut client).await;
    assert!(served.is_over(), "{what}: the connection is served for ever");
    let outcome = played.audit(&stand, Some(&mut watcher), asks_again(bytes)).await;
    let committed = outcome.unwrap_or_else(|error| panic!("{what}: {error}"));
    assert_eq!(committed, sent == played.requests.len(), "{what}: {sent} requests were sent");
    committed
}

#[test]
fn g1_g9_a_stream_that_ends_after_any_byte_leaves_all_or_nothing() {
    on_a_runtime(async {
        let (mut written, mut heard) = (0, (0, 0));
        for script in Script::ALL {
            let played = Played::new(script).await;
            let total = played.requests.concat().len();
            for bytes in 0..=total {
                // Alternately all at once and through a narrow stream.
                write(&played, if bytes % 2 == 0 { 1 << 16 } else { 24 }, bytes).await;
                written += 1;
            }
            for bytes in 0..=played.heard {
                if read(&played, bytes).await { heard.0 += 1 } else { heard.1 += 1 }
            }
        }
        println!("closed after a byte written: {written}; read: (all, nothing) {heard:?}");
        assert!(written > 1_000 && heard.0 > 100 && heard.1 > 500, "{heard:?}");
    });
}
