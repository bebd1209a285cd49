//! What takes minutes: `make hold`.

use crate::harness::{Body, on_stack};
use crate::jobs::{accepted, ids, over, register};

#[test]
#[ignore = "takes minutes; make hold runs it"]
fn ten_thousand_images_are_deleted_while_others_are_added() {
    on_stack(async |stack| {
        let user = stack.user().await;
        for round in 0..10 {
            register(&user, 1000, &format!("Photo {round}")).await;
        }
        let id = accepted(&user).await;
        let mut added = Vec::new();
        for round in 0..10 {
            added.extend(register(&user, 100, &format!("Later {round}")).await);
        }
        let job = over(async || user.get(format!("/api/jobs/{id}")).await.gives(200)).await;
        assert_eq!((job.str("status"), job.number("done")), ("done", 10_000), "{job}");
        let mut left: Vec<String> =
            user.pages("/api/images?limit=100").await.iter().map(|image| image.str("id").to_owned()).collect();
        left.sort();
        let mut expected = ids(&added);
        expected.sort_unstable();
        assert_eq!(left, expected);
        for (round, index) in [(0, 0), (4, 500), (9, 999)] {
            assert!(stack.claim(&user.id, &format!("Photo {round} {index}")).await.is_none());
        }
        // Nothing hinders the same titles.
        register(&user, 1000, "Photo 0").await;
    });
}
