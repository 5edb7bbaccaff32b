use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::scene::{HPA, PREFACE, STRANGER, Scene, frame, impatient, is_ended};

/// What a server says to bytes of HTTP/1.1, to the end.
async fn said(scene: &Scene, request: &[u8]) -> String {
    let mut stream = scene.tls(STRANGER, "http/1.1").await.expect("a handshake");
    let (mut reader, mut writer) = tokio::io::split(&mut stream);
    let mut answer = Vec::new();
    // It may stop reading in the middle.
    let (_, _) = tokio::join!(writer.write_all(request), reader.read_to_end(&mut answer));
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused_with_the_code_for_it() {
    let scene = Scene::start(impatient()).await;
    let long = |count| "a".repeat(count);
    let many = "x: 1\r\n".repeat(700);
    for (request, code) in [
        (format!("GET /livez HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", long(1 << 20)), "431"),
        (format!("GET /livez HTTP/1.1\r\nhost: a\r\n{many}\r\n"), "431"),
        (format!("GET /{} HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n", long(20_000)), "414"),
        ("POST /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\ncontent-length: 70000\r\n\r\n".into(), "413"),
        (format!("GET /livez HTTP/1.1\r\nhost: a\r\nconnection: close\r\nx: {}\r\n\r\n", long(60_000)), "200"),
    ] {
        let answer = scene.withstands(said(&scene, request.as_bytes())).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {code} ")), "{code}: {answer:.300}");
    }
    scene.stop().await;
}

#[tokio::test]
async fn what_is_too_large_is_said_as_a_status() {
    let scene = Scene::start(impatient()).await;
    let client = scene.front_proxy();
    let path = format!("/apis/{}", "a".repeat(20_000));
    let answer = scene.ask(&client, &path, HPA).await;
    let status = answer.json();
    assert_eq!((answer.code, &status["kind"], &status["code"]), (414, &"Status".into(), &414.into()));
    assert_eq!(answer.message(), "the path and query have 20006 bytes; at most 16384 are read");
    let request = client.post(format!("{}/apis", scene.plimsoll.base)).body(vec![0; 100_000]);
    let request = HPA.iter().fold(request, |request, (name, value)| request.header(*name, *value));
    let answer = crate::harness::Answer::of(request.send().await.expect("an answer")).await;
    assert_eq!((answer.code, answer.json()["reason"].as_str()), (413, Some("RequestEntityTooLarge")));
    // Those of a user with very many groups are not.
    let groups = (0..500).map(|i| ("X-Remote-Group".to_owned(), format!("{i:0>36}"))).collect::<Vec<_>>();
    let groups: Vec<_> = groups.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let answer = scene.ask(&client, "/apis", &[HPA, &groups].concat()).await;
    assert_eq!(answer.code, 200, "{answer:?}");
    scene.stop().await;
}

#[tokio::test]
async fn a_header_bomb_of_http_2_ends_its_own_connection_alone() {
    let scene = Scene::start(impatient()).await;
    // One header of 4,000 bytes goes into the table, and is then named by a byte, many times over.
    let mut entry = vec![0x40, 1, b'a', 0x7f, 0xa1, 0x1e];
    entry.extend([b'x'; 4000]);
    let bomb = [entry, vec![0xbe; 12_000]].concat();
    // A block without end.
    let endless = [frame(1, 1, 1, &[0x82]), frame(9, 0, 1, &[b'x'; 16_000]).repeat(2_000)].concat();
    let bombs = (1..200).map(|i| frame(1, 5, 2 * i - 1, &bomb)).collect::<Vec<_>>().concat();
    for attack in [bombs, endless] {
        let attackers = (0..8).map(async |_| {
            let mut stream = scene.tls(STRANGER, "h2").await.expect("a handshake");
            let (mut reader, mut writer) = tokio::io::split(&mut stream);
            let bytes = [PREFACE, &attack].concat();
            let (_, ended) = tokio::join!(writer.write_all(&bytes), is_ended(&mut reader));
            assert!(ended);
        });
        scene.withstands(futures::future::join_all(attackers)).await;
    }
    scene.stop().await;
}
