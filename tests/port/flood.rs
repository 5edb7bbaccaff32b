use tokio::io::AsyncWriteExt;

use super::scene::{PREFACE, STRANGER, Scene, frame, impatient, is_ended};

#[tokio::test]
async fn floods_of_frames_that_ask_nothing_end_their_own_connection_alone() {
    let scene = Scene::start(impatient()).await;
    let request = [0x82, 0x87, 0x04, 6, b'/', b'l', b'i', b'v', b'e', b'z'];
    let rapid_reset =
        (0..5_000).flat_map(|i| [frame(1, 5, 2 * i + 1, &request), frame(3, 0, 2 * i + 1, &[0, 0, 0, 8])].concat());
    let floods: [Vec<u8>; 5] = [
        frame(6, 0, 0, &[0; 8]).repeat(5_000),
        frame(4, 0, 0, &[]).repeat(5_000),
        frame(2, 0, 1, &[0, 0, 0, 0, 1]).repeat(5_000),
        frame(0xf0, 0, 0, &[]).repeat(5_000),
        rapid_reset.collect(),
    ];
    for flood in &floods {
        let attackers = (0..4).map(async |_| {
            let mut stream = scene.tls(STRANGER, "h2").await.expect("a handshake");
            let (mut reader, mut writer) = tokio::io::split(&mut stream);
            let bytes = [PREFACE, flood].concat();
            // Nothing is said about the end: it comes.
            let (_, ended) = tokio::join!(writer.write_all(&bytes), is_ended(&mut reader));
            assert!(ended);
        });
        scene.withstands(futures::future::join_all(attackers)).await;
    }
    scene.closes("flood", 4.0).await;
    scene.stop().await;
}
