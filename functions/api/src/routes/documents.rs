pub(super) mod get_docs;
pub(super) mod get_openapi;
