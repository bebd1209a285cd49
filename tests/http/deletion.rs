//! What is deleted is gone: record, title, blobs and addresses.

use crate::fixtures::Picture;
use crate::harness::{Body, eventually, on_stack};

#[test]
fn deleting_image_deletes_blobs_and_urls() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let picture = Picture::jpeg(640, 480);
        let image = user.publish("Harbour", &picture).await;
        let id = image.str("id");
        assert_eq!(stack.blobs(id).await.len(), 5, "an original, two thumbnails, their WebP variants");
        user.delete(format!("/api/images/{id}")).await.assert_status(204);
        let mut urls: Vec<&str> = image.list("thumbnails").iter().map(|thumbnail| thumbnail.str("url")).collect();
        urls.push(image.str("image_url"));
        for url in urls {
            stack.get(url).await.assert_status(404);
        }
        assert!(stack.image_item(id).await.is_none());
        assert!(stack.claim(&user.id, "Harbour").await.is_none());
        stack.no_blobs(id).await;
    });
}

#[test]
fn deleting_a_private_image_ends_the_urls_that_were_given_out() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let image = user.hide("Diary", Picture::small()).await;
        let url = image.str("image_url");
        stack.get(url).await.assert_status(200);
        user.delete(format!("/api/images/{}", image.str("id"))).await.assert_status(204);
        eventually("the presigned URL to find nothing", async || (stack.get(url).await.status == 404).then_some(()))
            .await;
    });
}

#[test]
fn deleting_one_image_leaves_its_neighbours_alone() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let other = stack.user().await;
        let picture = Picture::small();
        let gone = user.publish("Harbour", picture).await;
        let kept = [user.publish("Quay", picture).await, other.publish("Harbour", picture).await];
        user.delete(format!("/api/images/{}", gone.str("id"))).await.assert_status(204);
        stack.no_blobs(gone.str("id")).await;
        for image in &kept {
            assert_eq!(stack.blobs(image.str("id")).await.len(), 3);
            stack.get(image.list("thumbnails")[0].str("url")).await.assert_status(200);
        }
    });
}

#[test]
fn an_upload_that_comes_after_the_deletion_is_swept() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let created = user.pending("Harbour").await;
        user.delete(format!("/api/images/{}", created.id)).await.assert_status(204);
        created.put(stack, &Picture::small().bytes).await.assert_status(200);
        stack.no_blobs(&created.id).await;
        assert!(stack.image_item(&created.id).await.is_none());
    });
}

#[test]
fn an_image_deleted_while_it_is_processed_leaves_nothing() {
    on_stack(async |stack| {
        let user = stack.user_on("Premium").await;
        let picture = Picture::jpeg(640, 480);
        for round in 0..4 {
            let created = user.create(&format!("Harbour {round}"), &picture).await;
            created.put(stack, &picture.bytes).await.assert_status(200);
            if round > 0 {
                eventually("the work to have begun", async || {
                    let status = user.image(&created.id).await["status"].clone();
                    (status != "pending").then_some(())
                })
                .await;
            }
            user.delete(format!("/api/images/{}", created.id)).await.assert_status(204);
            stack.no_blobs(&created.id).await;
            user.get(format!("/api/images/{}", created.id)).await.assert_status(404);
            assert!(stack.image_item(&created.id).await.is_none());
        }
        assert!(user.pages("/api/images").await.is_empty());
    });
}

#[test]
fn of_simultaneous_deletions_one_succeeds() {
    on_stack(async |stack| {
        let user = stack.user().await;
        let id = user.publish("Harbour", Picture::small()).await.str("id").to_owned();
        let deletions = (0..10).map(|_| user.delete(format!("/api/images/{id}")).send());
        let mut statuses: Vec<u16> =
            futures_util::future::join_all(deletions).await.iter().map(|answer| answer.status).collect();
        statuses.sort_unstable();
        assert_eq!(statuses[0], 204);
        assert!(statuses[1..].iter().all(|status| *status == 404), "{statuses:?}");
        let me = user.get("/api/me").await.assert_json(200);
        assert_eq!(me["usage"]["images"], 0, "{me}");
    });
}
