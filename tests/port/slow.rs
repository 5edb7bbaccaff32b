use tokio::io::AsyncWriteExt;

use super::scene::{HPA, PREFACE, STRANGER, Scene, drip, frame, impatient, is_ended};

/// As many as one address may have.
const CLIENTS: usize = 40;

#[tokio::test]
async fn a_handshake_that_comes_byte_by_byte_is_cut_off() {
    let scene = Scene::start(impatient()).await;
    // The record of a ClientHello says 512 bytes and brings them one by one.
    let hello = [&[0x16, 3, 1, 2, 0, 1, 0, 1, 0xfc, 3, 3][..], &[0; 100]].concat();
    let clients = (0..CLIENTS).map(async |i| {
        let mut stream = scene.tcp(STRANGER).await.expect("a connection");
        // Half of them say nothing at all.
        assert!(drip(&mut stream, if i % 2 == 0 { &hello } else { &[] }).await);
    });
    scene.withstands(futures::future::join_all(clients)).await;
    scene.closes("handshake_timeout", CLIENTS as f64).await;
    scene.stop().await;
}

#[tokio::test]
async fn a_head_that_comes_byte_by_byte_is_cut_off_also_after_a_request_that_was_whole() {
    let scene = Scene::start(impatient()).await;
    let whole = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let head = [&b"GET /livez HTTP/1.1\r\nx: "[..], &[b'a'; 200]].concat();
    let clients = (0..CLIENTS).map(async |i| {
        let mut stream = scene.tls(STRANGER, "http/1.1").await.expect("a handshake");
        if i % 2 == 0 {
            stream.write_all(whole).await.expect("sent");
        }
        assert!(drip(&mut stream, &head).await);
    });
    scene.withstands(futures::future::join_all(clients)).await;
    scene.closes("head_timeout", CLIENTS as f64 / 2.0).await;
    scene.closes("no_request", CLIENTS as f64 / 2.0).await;
    scene.stop().await;
}

#[tokio::test]
async fn a_frame_and_a_header_block_of_http_2_that_come_byte_by_byte_are_cut_off() {
    let scene = Scene::start(impatient()).await;
    // GET /livez, of which the authority is left out (RFC 7541, appendix A).
    let request = frame(1, 5, 1, &[0x82, 0x87, 0x04, 6, b'/', b'l', b'i', b'v', b'e', b'z']);
    let block = [frame(1, 0, 3, &[0x82]), frame(9, 0, 3, &[0x87]).repeat(100)].concat();
    let large = [&[0, 0x40, 0, 1, 5, 0, 0, 0, 3][..], &[0; 200]].concat();
    let clients = (0..CLIENTS).map(async |i| {
        let mut stream = scene.tls(STRANGER, "h2").await.expect("a handshake");
        stream.write_all(&[PREFACE, &request].concat()).await.expect("sent");
        assert!(drip(&mut stream, if i % 2 == 0 { &block } else { &large }).await);
    });
    scene.withstands(futures::future::join_all(clients)).await;
    scene.closes("head_timeout", CLIENTS as f64).await;
    scene.stop().await;
}

#[tokio::test]
async fn a_body_that_comes_byte_by_byte_holds_nothing_up() {
    let scene = Scene::start(impatient()).await;
    let head = b"POST /livez HTTP/1.1\r\nhost: localhost\r\ncontent-length: 1000\r\n\r\n";
    let clients = (0..CLIENTS).map(async |_| {
        let mut stream = scene.tls(STRANGER, "http/1.1").await.expect("a handshake");
        stream.write_all(head).await.expect("sent");
        assert!(drip(&mut stream, &[b'a'; 1000]).await);
    });
    scene.withstands(futures::future::join_all(clients)).await;
    scene.stop().await;
}

#[tokio::test]
async fn who_asks_much_and_takes_nothing_is_cut_off() {
    let scene = Scene::start(impatient()).await;
    let clients = (0..4).map(async |_| {
        let mut stream = scene.tls(STRANGER, "http/1.1").await.expect("a handshake");
        let requests = b"GET /livez HTTP/1.1\r\nhost: localhost\r\n\r\n".repeat(90);
        // What the kernel keeps for it fills up sooner or later.
        while stream.write_all(&requests).await.is_ok() && stream.flush().await.is_ok() {}
    });
    scene.withstands(futures::future::join_all(clients)).await;
    scene.stop().await;
}

#[tokio::test]
async fn a_stranger_that_asks_nothing_more_is_asked_to_leave_and_a_front_proxy_stays() {
    let scene = Scene::start(impatient()).await;
    let proxy = scene.front_proxy();
    scene.ask(&proxy, "/apis", HPA).await;
    let before = scene.metric("plimsoll_serving_connections{client=\"front_proxy\"}").await;
    assert!(before >= 1.0, "{before}");
    let clients = ["h2", "http/1.1"].map(async |alpn| {
        let mut stream = scene.tls(STRANGER, alpn).await.expect("a handshake");
        let request = frame(1, 5, 1, &[0x82, 0x87, 0x04, 6, b'/', b'l', b'i', b'v', b'e', b'z']);
        let request =
            if alpn == "h2" { [PREFACE, &request].concat() } else { b"GET /livez HTTP/1.1\r\nhost: a\r\n\r\n".into() };
        stream.write_all(&request).await.expect("sent");
        is_ended(&mut stream).await
    });
    scene.withstands(futures::future::join_all(clients)).await;
    scene.closes("idle", 2.0).await;
    // Its connection has been idle for as long.
    let after = scene.metric("plimsoll_serving_connections{client=\"front_proxy\"}").await;
    assert!(after >= 1.0, "{after}");
    drop(proxy);
    scene.stop().await;
}
