#![allow(clippy::unwrap_used, reason = "a test may panic")]

use crate::head::elements;

#[test]
fn an_upgrade_is_to_one_protocol_that_is_not_http() {
    for (fields, protocol) in [
        (&["websocket"][..], Some("websocket")),
        (&["WebSocket"], Some("WebSocket")),
        (&[" echo/1 "], Some("echo/1")),
        (&["", "x,"], Some("x")),
        (&[], None),
        (&[""], None),
        (&["h2c"], None),
        (&["H2C"], None),
        (&["h2"], None),
        (&["HTTP/2.0"], None),
        (&["websocket, h2c"], None),
        (&["x", "h2c"], None),
        (&["h2c", "x"], None),
        (&["websocket", "websocket"], None),
        (&["\"x,h2c\""], None),
        (&["web socket"], None),
    ] {
        let offered = fields.iter().flat_map(|field| elements(field.as_bytes()));
        assert_eq!(
            super::protocol(offered).as_ref().map(|protocol| protocol.to_str().unwrap()),
            protocol,
            "{fields:?}"
        );
    }
}
