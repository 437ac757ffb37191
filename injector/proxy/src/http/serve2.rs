//! Clients of HTTP/2: many requests at once, each to where it goes.

use std::future::poll_fn;
use std::sync::Arc;

use tokio::io::AsyncWriteExt as _;
use tokio::time::timeout;

use super::attempt::answer;
use super::h2::frame::Code;
use super::links::heads;
use super::message2::{Ask, StreamClient};
use super::mux::{Ended, Link, Profile, Role, Stream};
use super::route::Route;
use super::serve1::{GOODBYE_TIME, drive_until_stop, identity};
use super::streamed::{Speech, Streamed};
use crate::connection::{End, reset};
use crate::worker::Worker;

/// Serves a connection of which `begun` was read already: an application's, or another proxy's.
pub async fn serve<S: End>(mut socket: S, begun: &[u8], profile: Profile, route: &Route, worker: &Arc<Worker>) {
    let link = Link::new(Role::Server, heads(Speech::Http2), profile);
    let serve = |stream| {
        let (route, worker) = (route.clone(), Arc::clone(worker));
        tokio::spawn(async move { serve_stream(stream, &route, &worker).await });
    };
    let ended = drive_until_stop(&link, &mut socket, begun, serve, worker, route.direction()).await;
    route.leave();
    match ended {
        Ended::InOrder | Ended::Violation(_) => {
            let _ = timeout(GOODBYE_TIME, socket.shutdown()).await;
        }
        Ended::Silent | Ended::Broken => reset(socket.tcp()),
    }
}

async fn serve_stream(stream: Stream, route: &Route, worker: &Arc<Worker>) {
    let mut client = StreamClient(Streamed::new(stream, Speech::Http2));
    let (inbound, identity) = (matches!(route, Route::In { .. }), identity(route));
    let mut list = super::buffer::lend();
    let came = poll_fn(|cx| client.0.poll_head(cx, |bytes| list.extend_from_slice(bytes))).await;
    let ask = came.ok().and_then(|()| Ask::read(&list, inbound, identity, client.0.stream.has_ended()));
    super::buffer::give_back(&mut list);
    match ask {
        Some(ask) => {
            answer(&mut client, &ask, route, worker).await;
        }
        None => client.0.stream.give_up_with(Code::ProtocolError), // the multiplexer lets no such list pass
    }
}
