//! A slot whose node has no address, because another node has got it: nodes redirect to port 0.

use futures_util::future::join;

use super::identity::{LAST_SLOT, Node, store_on};
use crate::conformance::fixtures::session_key;
use crate::redis_store::until;

#[tokio::test]
async fn a_call_waits_for_the_address_of_a_node_that_nobody_knows() {
    let node = Node::start().await;
    node.tell(LAST_SLOT, &[("a", node.port)]);
    let store = store_on(&[&node]);
    until("the cluster", async || store.load(&session_key(0)).await.is_ok()).await;

    node.state.lock().refusal = Some("-MOVED 1 :0\r\n");
    let (loaded, ()) = join(store.load(&session_key(0)), async {
        until("a redirection", async || node.state.lock().refusals > 0).await;
        node.state.lock().refusal = None;
    })
    .await;

    assert!(loaded.is_ok(), "{loaded:?}");
}
