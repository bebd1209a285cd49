//! The web page and its files. What the page does is tested in a browser, below `web/`.

use std::collections::HashMap;

use http::Method;
use serde_json::json;

use crate::fixtures::Picture;
use crate::harness::{Answer, Body, Fault, Stack, on_stack, parts, unknown_id};

/// The page's own paths.
const PAGES: &[&str] =
    &["/", "/images", "/links", "/account", "/admin", "/login", "/signup", "/confirm", "/reset", "/jobs/x", "/i/x"];

/// The Accept header of browsers that open a page.
const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8";

async fn index(stack: &Stack) -> Answer {
    stack.get("/").await.assert_status(200)
}

/// The paths of the assets that the page names.
async fn assets(stack: &Stack) -> Vec<String> {
    let html = index(stack).await.text();
    let assets: Vec<String> = html.split('"').filter(|part| part.starts_with("/assets/")).map(str::to_owned).collect();
    assert!(
        assets.iter().any(|path| path.ends_with(".js")) && assets.iter().any(|path| path.ends_with(".css")),
        "{html}"
    );
    assets
}

/// The sources of a directive of the answer's Content-Security-Policy.
fn sources(answer: &Answer, directive: &str) -> Vec<String> {
    let policy = answer.must_header("content-security-policy").to_owned();
    let mut directives = policy.split(';').map(|part| part.split_whitespace());
    let found =
        directives.find_map(|mut words| (words.next() == Some(directive)).then(|| words.map(str::to_owned).collect()));
    found.unwrap_or_else(|| panic!("no {directive} in {policy}"))
}

/// The content of a `<meta>` tag, as it is written.
fn meta(html: &str, name: &str) -> Option<String> {
    let (_, rest) = html.split_once(&format!("=\"{name}\" content=\""))?;
    Some(rest.split_once('"')?.0.to_owned())
}

#[test]
fn every_path_of_the_page_gives_the_page() {
    on_stack(async |stack| {
        let page = index(stack).await;
        assert!(page.text().starts_with("<!doctype html>"), "{page}");
        for path in PAGES {
            let answer = stack.get(path).await.assert_status(200);
            assert_eq!(answer.must_header("content-type"), "text/html; charset=utf-8", "{answer}");
            assert_eq!(answer.body, page.body, "{path}");
            let head = stack.head(path).await.assert_status(200);
            assert!(head.body.is_empty(), "{head}");
            for name in ["content-type", "etag", "cache-control", "content-security-policy"] {
                assert_eq!(head.must_header(name), answer.must_header(name), "{name} of {path}");
            }
        }
    });
}

#[test]
fn a_browser_that_has_the_page_gets_304() {
    on_stack(async |stack| {
        for path in ["/", "/images", "/i/x", "/robots.txt"] {
            let answer = stack.get(path).await.assert_status(200);
            let etag = answer.must_header("etag");
            for known in [etag.to_owned(), format!("W/{etag}"), format!("\"other\", {etag}"), "*".to_owned()] {
                let again = stack.get(path).header("if-none-match", known).await.assert_status(304);
                assert!(again.body.is_empty(), "{again}");
                assert_eq!(again.must_header("etag"), etag);
            }
            stack.get(path).header("if-none-match", "\"other\"").await.assert_status(200);
        }
        assert_eq!(index(stack).await.must_header("cache-control"), "no-cache");
    });
}

#[test]
fn assets_are_immutable_and_named_by_content() {
    on_stack(async |stack| {
        for path in assets(stack).await {
            let answer = stack.get(&path).await.assert_status(200);
            assert_eq!(answer.must_header("cache-control"), "public, max-age=31536000, immutable", "{path}");
            let kind = match path.rsplit('.').next() {
                Some("js") => "text/javascript; charset=utf-8",
                Some("css") => "text/css; charset=utf-8",
                Some("svg") => "image/svg+xml",
                other => panic!("{path}: {other:?}"),
            };
            assert_eq!(answer.must_header("content-type"), kind, "{path}");
            let etag = answer.must_header("etag");
            stack.get(&path).header("if-none-match", etag).await.assert_status(304);
            assert!(stack.head(&path).await.assert_status(200).body.is_empty());
        }
    });
}

#[test]
fn files_are_sent_in_an_encoding_that_the_client_accepts() {
    on_stack(async |stack| {
        let mut paths = assets(stack).await;
        paths.extend(["/".to_owned(), "/login".to_owned()]);
        for path in paths {
            let plain = stack.get(&path).header("accept-encoding", "identity").await.assert_status(200);
            assert_eq!(plain.header("content-encoding"), None, "{plain}");
            let mut etags = vec![plain.must_header("etag").to_owned()];
            for (accepted, encoding) in [("gzip, deflate, br, zstd", "br"), ("gzip", "gzip"), ("br;q=0, gzip", "gzip")]
            {
                let answer = stack.get(&path).header("accept-encoding", accepted).await.assert_status(200);
                assert_eq!(answer.must_header("content-encoding"), encoding, "{path}");
                assert_eq!(answer.must_header("content-type"), plain.must_header("content-type"), "{path}");
                assert!(answer.body.len() < plain.body.len(), "{path}: {encoding}");
                assert_eq!(answer.body.starts_with(&[0x1f, 0x8b]), encoding == "gzip", "{path}");
                etags.push(answer.must_header("etag").to_owned());
            }
            assert_eq!(plain.must_header("vary").to_ascii_lowercase(), "accept-encoding", "{path}");
            etags.sort();
            etags.dedup();
            assert_eq!(etags.len(), 3, "each coding has a tag of its own: {etags:?}");
        }
    });
}

#[test]
fn a_missing_asset_is_a_404_and_never_the_page() {
    on_stack(async |stack| {
        let asset = assets(stack).await.remove(0);
        for path in [
            "/assets/gone-0123abcd.js",
            "/assets/gone-0123abcd.css",
            "/assets/index.html",
            "/assets/",
            "/assets",
            "/assets/..%2findex.html",
            "/assets/%2e%2e%2findex.html",
            "/assets/..%2f..%2fbootstrap",
            "/assets/%2fetc%2fpasswd",
            "/assets/a/b.js",
            &format!("{asset}.br"),
            &format!("{asset}.gz"),
            &format!("{asset}%00"),
        ] {
            let answer = stack.get(path).header("accept", "text/html").await;
            assert!(!answer.text().contains("<html"), "{answer}");
            answer.assert_problem(404, "not_found");
        }
    });
}

#[test]
fn nothing_of_the_api_or_of_media_falls_back_to_the_page() {
    on_stack(async |stack| {
        for path in [
            "/api",
            "/api/",
            "/api/nothing",
            "/api/images/a/b",
            "/media",
            "/media/",
            "/media/nothing",
            "/media/thumbnail/a/b/c.jpg",
        ] {
            let answer = stack.get(path).header("accept", BROWSER).await;
            assert!(!answer.text().contains("<html"), "{answer}");
            answer.problem(404);
            stack.head(path).header("accept", BROWSER).await.assert_status(404);
        }
        // The paths of other methods are told apart still.
        let answer = stack.get("/api/auth/login").header("accept", BROWSER).await;
        assert_eq!(answer.must_header("allow"), "POST", "{answer}");
        answer.assert_problem(405, "method_not_allowed");
        let answer = stack.get("/api/me/?a=1").await.assert_status(308);
        assert_eq!(answer.must_header("location"), "/api/me?a=1");
    });
}

#[test]
fn a_browser_gets_the_page_with_404_at_an_unknown_path_and_others_a_problem() {
    on_stack(async |stack| {
        let page = index(stack).await;
        for path in [
            "/nothing",
            "/nothing/",
            "/images/x",
            "/i",
            "/index.html",
            "/docs.html",
            "/site/index.html",
            "/bootstrap",
            "/apis",
        ] {
            let answer = stack.get(path).header("accept", BROWSER).await.assert_status(404);
            assert_eq!(answer.must_header("content-type"), "text/html; charset=utf-8", "{answer}");
            assert_eq!(answer.must_header("vary"), "accept, accept-encoding", "{answer}");
            assert_eq!(answer.body, page.body, "{path}");
            sources(&answer, "script-src");
            let head = stack.head(path).header("accept", BROWSER).await.assert_status(404);
            assert!(head.body.is_empty(), "{head}");
            for accept in ["*/*", "application/json", "application/json, text/html;q=0.5"] {
                stack.get(path).header("accept", accept).await.assert_problem(404, "not_found");
            }
            stack.get(path).await.assert_problem(404, "not_found");
            stack.post(path, json!({})).header("accept", BROWSER).await.assert_problem(404, "not_found");
        }
    });
}

#[test]
fn the_page_can_only_be_read() {
    on_stack(async |stack| {
        let asset = assets(stack).await.remove(0);
        for path in PAGES.iter().copied().chain([asset.as_str(), "/robots.txt"]) {
            for method in [Method::POST, Method::PUT, Method::PATCH, Method::DELETE] {
                if (path, &method) == ("/login", &Method::POST) {
                    // The emulator answers it itself, as Cognito's own pages do.
                    continue;
                }
                let answer = stack.call(method, path).await;
                assert_eq!(answer.must_header("allow"), "GET, HEAD", "{answer}");
                answer.assert_problem(405, "method_not_allowed");
            }
        }
        for path in ["/images/", "/login/", "/i/x/"] {
            let answer = stack.get(format!("{path}?next=1")).await.assert_status(308);
            assert_eq!(answer.must_header("location"), format!("{}?next=1", path.trim_end_matches('/')));
        }
    });
}

#[test]
fn csp_allows_own_origin_and_buckets_only() {
    on_stack(async |stack| {
        let asset = assets(stack).await.remove(0);
        let user = stack.user().await;
        let picture = Picture::small();
        let hidden = user.hide("Diary", picture).await;
        let public = user.publish("Harbour", picture).await;
        let pending = user.create("Quay", picture).await;
        for path in PAGES.iter().copied().chain([asset.as_str()]) {
            let answer = stack.get(path).await.assert_status(200);
            for directive in ["default-src", "base-uri", "frame-ancestors"] {
                assert_eq!(sources(&answer, directive), ["'none'"], "{path}: {directive}");
            }
            for directive in ["script-src", "style-src", "worker-src", "form-action"] {
                assert_eq!(sources(&answer, directive), ["'self'"], "{path}: {directive}");
            }
            let policy = answer.must_header("content-security-policy");
            for word in ["unsafe", "data:", "blob:", "*", "http: ", "https: "] {
                assert!(!policy.contains(word), "{word} in {policy}");
            }
            assert_eq!(answer.must_header("x-content-type-options"), "nosniff");
            assert_eq!(answer.must_header("referrer-policy"), "same-origin");
            // This origin is not https.
            assert_eq!(answer.header("strict-transport-security"), None, "{answer}");
            answer.must_header("x-request-id");
        }
        // Uploads and images are where the policy allows them.
        let page = index(stack).await;
        let allows = |directive: &str, url: &str| {
            assert!(sources(&page, directive).iter().any(|source| url.starts_with(source)), "{directive}: {url}");
        };
        allows("connect-src", pending.upload.str("url"));
        allows("img-src", hidden.list("thumbnails")[0].str("url"));
        allows("img-src", public.list("thumbnails")[0].str("url"));
    });
}

#[test]
fn on_https_the_page_says_so_and_buckets_have_hosts_of_their_own() {
    on_stack(async |stack| {
        let aws = [
            ("PUBLIC_URL", "https://images.example.org"),
            ("AWS_ENDPOINT_URL", ""),
            ("ORIGINALS_DOMAIN", "originals.s3.eu-west-1.amazonaws.com"),
            ("THUMBNAILS_DOMAIN", "thumbnails.s3.eu-west-1.amazonaws.com"),
        ];
        for (public_url, more) in [("https://images.example.org", &["https://images.example.org"][..]), ("", &[])] {
            let mut environment = aws;
            environment[0].1 = public_url;
            let page = stack.function_with("page", &environment).await;
            let answer = page.call_with(None, "GET", "/", HashMap::new(), None).await.assert_status(200);
            let age = answer.must_header("strict-transport-security").strip_prefix("max-age=").expect("an age");
            assert!(age.parse::<u64>().expect("seconds") >= 31_536_000, "{age}");
            let originals = "https://originals.s3.eu-west-1.amazonaws.com";
            assert_eq!(sources(&answer, "connect-src"), ["'self'", originals]);
            let images = [&["'self'"], more, &[originals, "https://thumbnails.s3.eu-west-1.amazonaws.com"]].concat();
            assert_eq!(sources(&answer, "img-src"), images);
        }
    });
}

#[test]
fn the_licences_of_bundled_packages_are_asked_for_each_time() {
    on_stack(async |stack| {
        let licences = stack.get("/licenses.txt").await.assert_status(200);
        assert_eq!(licences.must_header("content-type"), "text/plain; charset=utf-8");
        assert_eq!(licences.must_header("cache-control"), "no-cache");
        assert!(licences.text().contains("swagger-ui-dist"), "{licences}");
        let docs = stack.get("/api/docs").await.assert_status(200).text();
        assert!(docs.contains("href=\"/licenses.txt\""), "{docs}");
    });
}

#[test]
fn robots_txt_excludes_private_paths() {
    on_stack(async |stack| {
        let robots = stack.get("/robots.txt").await.assert_status(200);
        assert_eq!(robots.must_header("content-type"), "text/plain; charset=utf-8");
        assert!(robots.text().contains("Disallow: /media/exp/"), "{robots}");
    });
}

#[test]
fn the_address_of_a_public_image_carries_open_graph_tags() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let more = json!({"description": "Evening light, \"gulls\" & <boats>"});
        let title = "Harbour \"><script>alert('x')</script> & co";
        let created = user.create_with(title, &Picture::jpeg(900, 700), more).await;
        created.put(stack, &Picture::jpeg(900, 700).bytes).await.assert_status(200);
        let image = user.ready(&created.id).await;
        let path = format!("/i/{}", created.id);
        let answer = stack.get(&path).await.assert_status(200);
        assert_eq!(answer.must_header("cache-control"), "no-cache");
        sources(&answer, "script-src");
        let html = answer.text();

        let escaped = "Harbour &quot;&gt;&lt;script&gt;alert(&#39;x&#39;)&lt;/script&gt; &amp; co";
        assert!(html.contains(&format!("<title>{escaped} · Tintype</title>")), "{html}");
        assert!(!html.contains("alert('x')"), "{html}");
        let largest = image.list("thumbnails").iter().max_by_key(|one| one.number("height")).expect("thumbnails");
        assert_eq!(largest.number("height"), 400);
        let described = "Evening light, &quot;gulls&quot; &amp; &lt;boats&gt;";
        for (name, content) in [
            ("og:title", escaped),
            ("og:description", described),
            ("og:url", &format!("{}{path}", stack.url)),
            ("og:image", largest.str("url")),
            ("og:image:type", "image/jpeg"),
            ("og:image:width", &largest.number("width").to_string()),
            ("og:image:height", "400"),
            ("og:image:alt", escaped),
            ("twitter:card", "summary_large_image"),
            ("twitter:title", escaped),
            ("twitter:description", described),
            ("twitter:image", largest.str("url")),
            ("description", described),
        ] {
            assert_eq!(meta(&html, name).as_deref(), Some(content), "{name} in {html}");
        }
        // It leads to the picture, and the page is otherwise the same.
        let shown = stack.get(meta(&html, "og:image").expect("a URL")).await.assert_status(200);
        assert_eq!(shown.must_header("content-type"), "image/jpeg");
        for asset in assets(stack).await {
            assert!(html.contains(&asset), "{asset}");
        }

        let etag = answer.must_header("etag").to_owned();
        stack.get(&path).header("if-none-match", &etag).await.assert_status(304);
        stack.head(&path).await.assert_status(200);
        user.patch(format!("/api/images/{}", created.id), json!({"title": "Quay"})).await.assert_status(200);
        let renamed = stack.get(&path).header("if-none-match", &etag).await.assert_status(200).text();
        assert_eq!(meta(&renamed, "og:title").as_deref(), Some("Quay"));
    });
}

#[test]
fn the_address_of_any_other_image_is_the_generic_page() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let picture = Picture::small();
        let page = index(stack).await;
        let hidden = user.hide("Diary", picture).await;
        let pending = user.pending("Quay").await;
        let gone = user.publish("Pier", picture).await;
        user.delete(format!("/api/images/{}", gone.str("id"))).await.assert_status(204);
        let was_public = user.publish("Bare", picture).await;
        user.patch(format!("/api/images/{}", was_public.str("id")), json!({"visibility": "private"}))
            .await
            .assert_status(200);
        for id in
            [hidden.str("id"), &pending.id, gone.str("id"), was_public.str("id"), &unknown_id(&user.id), "nonsense"]
        {
            let path = format!("/i/{id}");
            for call in [stack.get(&path), stack.get(&path).by(&user)] {
                let answer = call.await.assert_status(200);
                assert_eq!(answer.body, page.body, "{path}");
                for name in ["content-type", "etag", "cache-control", "vary", "content-security-policy"] {
                    assert_eq!(answer.must_header(name), page.must_header(name), "{name} of {path}");
                }
            }
        }
        assert_eq!(meta(&page.text(), "og:title"), None);
    });
}

#[test]
fn the_page_of_an_image_comes_also_when_the_table_cannot_be_read() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let image = user.publish("Harbour", Picture::small()).await;
        let function = stack.function("image_page").await;
        let path = format!("/i/{}", image.str("id"));
        let read = async || function.call_with(None, "GET", &path, HashMap::new(), None).await.assert_status(200);
        assert!(meta(&read().await.text(), "og:title").is_some());
        function.proxy.rule("BatchGetItem", 99, Fault::Refuse);
        assert_eq!(read().await.body, index(stack).await.body);
    });
}

#[test]
fn the_page_may_use_the_urls_that_buckets_are_given() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let created = user.create("Harbour", Picture::small()).await;
        let signed: Vec<&String> = created.upload["headers"].as_object().expect("headers").keys().collect();
        let signed: Vec<String> = signed.into_iter().map(|name| name.to_ascii_lowercase()).collect();
        let preflight = stack
            .call(Method::OPTIONS, created.upload.str("url"))
            .header("origin", &stack.url)
            .header("access-control-request-method", "PUT")
            .header("access-control-request-headers", signed.join(","))
            .await;
        assert!([200, 204].contains(&preflight.status), "{preflight}");
        let origin = preflight.must_header("access-control-allow-origin");
        assert!([stack.url.as_str(), "*"].contains(&origin), "{origin}");
        let hidden = user.hide("Diary", Picture::small()).await;
        for url in [hidden.str("image_url"), hidden.list("thumbnails")[0].str("url")] {
            let answer = stack.get(url).header("origin", &stack.url).await.assert_status(200);
            let origin = answer.must_header("access-control-allow-origin");
            assert!([stack.url.as_str(), "*"].contains(&origin), "{origin}");
        }
        let (owner, key) = parts(hidden.str("id"));
        stack
            .get(format!("/media/thumbnail/{owner}/{key}/200.jpg"))
            .header("origin", &stack.url)
            .await
            .assert_status(404);
    });
}

#[test]
fn page_at_api_endpoint_can_upload_with_any_allowed_origin() {
    on_stack(async |stack| {
        let cors = stack.s3.get_bucket_cors().bucket(&stack.originals).send().await.expect("the bucket has CORS rules");
        let mut origins = cors.cors_rules().iter().flat_map(|rule| rule.allowed_origins());
        assert!(origins.any(|origin| origin == "https://*.execute-api.us-east-1.amazonaws.com"), "{cors:?}");
    });
}
