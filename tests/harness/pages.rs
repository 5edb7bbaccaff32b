//! Pages that never change, each at its own path of one server on loopback.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::header::CONTENT_TYPE;
use axum::http::{Response, StatusCode, Uri};

/// One page as it is served, to everyone who asks and whatever they accept.
#[derive(Clone, Debug)]
pub struct Page {
    pub name: String,
    /// `None` serves the page without this header.
    pub content_type: Option<String>,
    pub body: Vec<u8>,
}

/// Serves pages at `/0`, `/1` and so on; gives the address. The server ends with the test's runtime.
pub async fn serve(pages: &[Page]) -> String {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("an address").to_string();
    let router = Router::new().fallback(answer).with_state(Arc::new(pages.to_vec()));
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

async fn answer(State(pages): State<Arc<Vec<Page>>>, uri: Uri) -> Response<Body> {
    let page = uri.path()[1..].parse().ok().and_then(|number: usize| pages.get(number));
    let response = Response::builder();
    let built = match page {
        None => response.status(StatusCode::NOT_FOUND).body(Body::empty()),
        Some(Page { content_type: None, body, .. }) => response.body(Body::from(body.clone())),
        Some(Page { content_type: Some(header), body, .. }) => {
            response.header(CONTENT_TYPE, header).body(Body::from(body.clone()))
        }
    };
    built.expect("a legal header value")
}
