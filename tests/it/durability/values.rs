//! Entries of any length and with any bytes, over a crash.

use super::*;

every_model![
    long_values_and_long_keys_survive,
    values_and_keys_come_back_byte_for_byte,
];

fn long_values_and_long_keys_survive(model: Model) {
    const MIB: usize = 1 << 20;

    for sync in Sync::ALL {
        let folder = Folder::new();
        let dir = folder.join("data");
        let value = |letter: &str| format!("\"{}\"", letter.repeat(60 * MIB));
        let key = "k".repeat(MIB);
        let server = serve(model, &dir, sync);
        let mut peer = server.connect();
        assert_eq!(peer.set("long", &value("v")), 200);
        assert_eq!(peer.set("long", &value("w")), 200);
        assert_eq!(peer.set(&key, "1"), 200);
        crash(server);
        let server = serve(model, &dir, sync);
        let mut peer = server.connect();
        let reply = peer.get_text("long");
        assert!(reply.contains(&value("w")));
        assert!(peer.get_text(&key).contains(":1}"));
        assert_eq!(peer.status(del("long")), 200);
        assert_eq!(peer.status(del(&key)), 200);
        crash(server);
        let server = serve(model, &dir, sync);
        let mut peer = server.connect();
        assert_eq!(peer.status(get("long")), 404);
        assert_eq!(peer.status(get(&key)), 404);
    }
}

fn values_and_keys_come_back_byte_for_byte(model: Model) {
    let values = [
        r#""""#,
        "null",
        "false",
        "-0.0e-0",
        "1000000000000000000000000000000000000001",
        r#"{"b": 1,  "a" :[ ] , "b":2}"#,
        "[1,\n\t2\r\n]",
        r#""\u00e9\/\ud83d\ude00""#,
        "\"\u{e9}\u{1f600}\u{7f}\"",
    ];
    let folder = Folder::new();
    let dir = folder.join("data");
    let server = serve(model, &dir, Sync::Every100Ms);
    let mut peer = server.connect();
    // As JSON has them: characters, and those that need escapes.
    let key = |index: usize| {
        format!(
            "{index}\\u0000\\n\\\"\u{1f600} {}",
            "k".repeat(index * 10_000)
        )
    };
    for (index, value) in values.into_iter().enumerate() {
        assert_eq!(peer.set(&key(index), value), 200);
    }
    let told: Vec<_> = (0..values.len())
        .map(|index| peer.get_text(&key(index)))
        .collect();
    crash(server);
    let server = serve(model, &dir, Sync::Every100Ms);
    let mut peer = server.connect();
    for (index, value) in values.into_iter().enumerate() {
        let reply = peer.get_text(&key(index));
        assert_eq!(reply, told[index]);
        assert!(reply.contains(value), "{reply}");
    }
}
