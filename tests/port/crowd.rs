use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::AsyncWriteExt;

use futures::StreamExt;
use plimsoll::serving::Limits;

use super::scene::{HPA, NEIGHBOUR, STRANGER, Scene, frame, is_ended};
use crate::harness::crowd::{self, Crowd};

#[tokio::test]
async fn ten_thousand_connections_of_a_stranger_keep_nobody_out() {
    let scene = Scene::start(Limits::default()).await;
    let count = crowd::size();
    let besieged = async {
        let kept = Crowd::gather(scene.address, |_| STRANGER, count).await;
        assert_eq!(kept.connections.len(), count);
        let open = scene.metric("plimsoll_serving_connections{client=\"stranger\"}").await;
        assert!(open <= 128.0 + 1.0, "{open}");
        scene.closes("address_full", count as f64 / 2.0).await;
        // Its address has spoken no word so far, so it may.
        assert_eq!(scene.ask(&scene.stranger(STRANGER), "/livez", &[]).await.code, 200);
        drop(kept);
    };
    scene.withstands(besieged).await;
    scene.stop().await;
}

#[tokio::test]
async fn ten_thousand_connections_from_the_front_proxys_own_address_do_not_either() {
    let scene = Scene::start(Limits::default()).await;
    let count = crowd::size();
    let besieged = async {
        let kept = Crowd::gather(scene.address, |_| NEIGHBOUR, count).await;
        let open = scene.metric("plimsoll_serving_connections{client=\"stranger\"}").await;
        assert!(open <= 4.0 * 128.0 + 1.0, "{open}");
        scene.closes("address_full", count as f64 / 2.0).await;
        drop(kept);
    };
    scene.withstands(besieged).await;
    scene.stop().await;
}

#[tokio::test]
async fn when_the_port_is_full_strangers_that_ask_nothing_make_room_and_the_front_proxy_stays() {
    let limits = Limits { connections: 200, connections_per_address: 20, ..Limits::default() };
    let scene = Scene::start(limits).await;
    let kept = scene.front_proxy();
    scene.ask(&kept, "/livez", HPA).await;
    let mut oldest = scene.tls(STRANGER, "http/1.1").await.expect("a handshake");
    let address = |i: usize| Ipv4Addr::new(127, 0, 1, u8::try_from(i % 50).expect("small") + 1);
    let besieged = async {
        let crowd = Crowd::gather(scene.address, address, 1_000).await;
        assert!(is_ended(&mut oldest).await);
        scene.closes("full", 100.0).await;
        drop(crowd);
    };
    scene.withstands(besieged).await;
    let open: f64 = scene.metric("plimsoll_serving_connections{client=\"stranger\"}").await;
    assert!(open <= 200.0, "{open}");
    scene.stop().await;
}

#[tokio::test]
async fn strangers_that_take_no_answer_keep_no_front_proxy_out_that_was_never_there_before() {
    let limits = Limits { connections: 200, connections_per_address: 20, ..Limits::default() };
    let scene = Scene::start(limits).await;
    // SETTINGS_INITIAL_WINDOW_SIZE is 0, so no byte of a body may be sent.
    let preface = [&b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"[..], &frame(4, 0, 0, &[0, 4, 0, 0, 0, 0])].concat();
    let request = frame(1, 5, 1, &[0x82, 0x87, 0x04, 6, b'/', b'l', b'i', b'v', b'e', b'z']);
    let mut held = Vec::new();
    for i in 0..240 {
        let mut stream = scene.tls(Ipv4Addr::new(127, 0, 4, i / 20 + 1), "h2").await.expect("a handshake");
        stream.write_all(&[&preface[..], &request].concat()).await.expect("sent");
        held.push(stream);
    }
    // They have had time for a handshake and a request.
    tokio::time::sleep(Duration::from_secs(1)).await;
    for i in 0..5 {
        let new = Ipv4Addr::new(127, 0, 5, i + 1);
        assert_eq!(scene.ask(&scene.front_proxy_at(new), "/apis", HPA).await.code, 200);
        assert_eq!(scene.ask(&scene.stranger(Ipv4Addr::new(127, 0, 6, i + 1)), "/livez", &[]).await.code, 200);
    }
    drop(held);
    scene.stop().await;
}

#[tokio::test]
async fn handshakes_of_a_stranger_are_few_however_many_it_begins() {
    let scene = Scene::start(Limits::default()).await;
    let besieged = async {
        let shaken = futures::stream::iter(0..1_000).map(|_| scene.tls(STRANGER, "h2"));
        let shaken: Vec<_> = shaken.buffer_unordered(64).collect().await;
        shaken.into_iter().filter_map(Result::ok).count()
    };
    let started = std::time::Instant::now();
    let shaken = scene.withstands(besieged).await;
    // 100 at once and 20 a second.
    let most = 100 + 20 * (started.elapsed() + Duration::from_secs(1)).as_secs() as usize;
    assert!((1..=most).contains(&shaken), "{shaken} of at most {most}");
    scene.stop().await;
}
