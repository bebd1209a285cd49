use tintype_api::openapi::document;

/// `make openapi` writes the golden file.
#[test]
fn the_document_is_the_golden_file() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let now = format!("{:#}\n", document());
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path, &now).unwrap();
    }
    assert!(
        std::fs::read_to_string(path).unwrap_or_default() == now,
        "docs/openapi.json is not up to date: run `make openapi`"
    );
}

#[test]
fn every_operation_has_a_tag_a_summary_and_a_response() {
    let document = document();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            assert_ne!(operation["tags"][0], "", "{method} {path}");
            assert_ne!(operation["summary"], "", "{method} {path}");
            let mut statuses = operation["responses"].as_object().unwrap().keys();
            assert!(statuses.any(|status| status.starts_with(['2', '3']) && status != "304"), "{method} {path}");
        }
    }
}
