use http::Method;
use serde_json::{Value, json};

use super::{Answer, Body, Call, Stack, eventually, unique, user_of};
use crate::fixtures::Picture;

pub(crate) const PASSWORD: &str = "Quiet-Harbour-42";

/// A signed-in user.
#[derive(Clone)]
pub(crate) struct User {
    pub(crate) stack: &'static Stack,
    /// As the table and the user pool know it.
    pub(crate) id: String,
    /// As the API gives it.
    pub(crate) api_id: String,
    pub(crate) name: String,
    pub(crate) email: String,
    pub(crate) access_token: String,
    pub(crate) refresh_token: String,
}

/// An image just created, its upload still to come.
#[derive(Clone, Debug)]
pub(crate) struct Created {
    pub(crate) id: String,
    pub(crate) image: Value,
    pub(crate) upload: Value,
}

impl Stack {
    /// A new user on the plan that new users get.
    pub(crate) async fn user(&'static self) -> User {
        let name = "Ada Byron".to_owned();
        let email = format!("ada-{}@example.com", unique());
        let signed_up = self
            .post("/api/auth/signup", json!({"email": email, "password": PASSWORD, "name": name}))
            .await
            .assert_json(201);
        let code = self.mailed_code(&email, 1).await;
        self.post("/api/auth/confirm", json!({"email": email, "code": code})).await.assert_status(204);
        let session = self.login(&email, PASSWORD).await.assert_json(200);
        User {
            stack: self,
            id: user_of(signed_up.str("user_id")),
            api_id: signed_up.str("user_id").to_owned(),
            name,
            email,
            access_token: session.str("access_token").to_owned(),
            refresh_token: session.str("refresh_token").to_owned(),
        }
    }

    pub(crate) async fn user_on(&'static self, plan: &str) -> User {
        let user = self.user().await;
        self.set_plan(&user.id, Some(plan)).await;
        user
    }

    /// A user whose session says that they are an admin.
    pub(crate) async fn admin(&'static self) -> User {
        let user = self.user().await;
        self.cognito
            .admin_add_user_to_group()
            .user_pool_id(&self.user_pool)
            .username(&user.email)
            .group_name("admins")
            .send()
            .await
            .expect("the group is there");
        user.another_session().await
    }

    pub(crate) async fn user_without_plan(&'static self) -> User {
        let user = self.user().await;
        self.set_plan(&user.id, None).await;
        user
    }

    pub(crate) async fn login(&self, email: &str, password: &str) -> Answer {
        let _lifetime = self.token_lifetime.read().await;
        self.post("/api/auth/login", json!({"email": email, "password": password})).await
    }

    /// The code in the newest mail to this address, once that many have come.
    pub(crate) async fn mailed_code(&self, email: &str, mails: usize) -> String {
        eventually(&format!("mail {mails} to {email}"), async || {
            let answer = self.call(Method::GET, &self.mails).await.assert_json(200);
            let boxes = answer["messages"].as_object()?.clone();
            let texts: Vec<String> = boxes
                .values()
                .flat_map(|messages| messages.as_array().into_iter().flatten())
                .filter(|message| message["To"].to_string().contains(email))
                .map(|message| format!("{} {} {}", message["Subject"], message["BodyText"], message["BodyHtml"]))
                .collect();
            if texts.len() < mails {
                return None;
            }
            texts.last()?.split(|letter: char| !letter.is_ascii_digit()).find(|word| word.len() == 6).map(str::to_owned)
        })
        .await
    }
}

impl User {
    /// Another session of the same user.
    pub(crate) async fn another_session(&self) -> User {
        let session = self.stack.login(&self.email, PASSWORD).await.assert_json(200);
        User {
            access_token: session.str("access_token").to_owned(),
            refresh_token: session.str("refresh_token").to_owned(),
            ..self.clone()
        }
    }

    /// Another session, begun after all that were ended: such ends count in whole seconds.
    pub(crate) async fn fresh_session(&self) -> User {
        eventually("a session that is not among the ended ones", async || {
            let session = self.another_session().await;
            (session.get("/api/me").await.status == 200).then_some(session)
        })
        .await
    }

    pub(crate) fn get(&self, target: impl std::fmt::Display) -> Call {
        self.stack.get(target).by(self)
    }

    pub(crate) fn post(&self, target: impl std::fmt::Display, body: Value) -> Call {
        self.stack.post(target, body).by(self)
    }

    pub(crate) fn patch(&self, target: impl std::fmt::Display, body: Value) -> Call {
        self.stack.patch(target, body).by(self)
    }

    pub(crate) fn put(&self, target: impl std::fmt::Display, body: Value) -> Call {
        self.stack.call(Method::PUT, target).json(&body).by(self)
    }

    pub(crate) fn delete(&self, target: impl std::fmt::Display) -> Call {
        self.stack.delete(target).by(self)
    }

    pub(crate) async fn create(&self, title: &str, picture: &Picture) -> Created {
        self.create_with(title, picture, json!({})).await
    }

    /// Creates an image with more than the required fields.
    pub(crate) async fn create_with(&self, title: &str, picture: &Picture, more: Value) -> Created {
        let mut body = picture.draft(title);
        body.as_object_mut().expect("a draft is an object").extend(more.as_object().expect("more fields").clone());
        Created::from(self.post("/api/images", body).await.assert_json(201))
    }

    /// A title and nothing uploaded to it.
    pub(crate) async fn pending(&self, title: &str) -> Created {
        self.create(title, Picture::small()).await
    }

    /// A ready public image.
    pub(crate) async fn publish(&self, title: &str, picture: &Picture) -> Value {
        self.keep(title, picture, "public").await
    }

    /// A ready private image.
    pub(crate) async fn hide(&self, title: &str, picture: &Picture) -> Value {
        self.keep(title, picture, "private").await
    }

    async fn keep(&self, title: &str, picture: &Picture, visibility: &str) -> Value {
        let created = self.create_with(title, picture, json!({"visibility": visibility})).await;
        created.put(self.stack, &picture.bytes).await.assert_status(200);
        self.ready(&created.id).await
    }

    /// An expiring link to a ready image, for 300 seconds unless told otherwise.
    pub(crate) async fn link(&self, image: &Value, more: Value) -> Value {
        let mut body = json!({"base_image": image["id"], "expiry_in_seconds": 300});
        body.as_object_mut().expect("an object").extend(more.as_object().expect("more fields").clone());
        self.post("/api/expiring-links", body).await.assert_json(201)
    }

    pub(crate) async fn image(&self, id: &str) -> Value {
        self.get(format!("/api/images/{id}")).await.assert_json(200)
    }

    /// The image once it is ready.
    pub(crate) async fn ready(&self, id: &str) -> Value {
        let image = self.settled(id).await;
        assert_eq!(image["status"], "ready", "{image}");
        image
    }

    /// The image once it is rejected.
    pub(crate) async fn rejected(&self, id: &str) -> Value {
        let image = self.settled(id).await;
        assert_eq!(image["status"], "rejected", "{image}");
        image
    }

    async fn settled(&self, id: &str) -> Value {
        eventually(&format!("image {id} to be ready or rejected"), async || {
            let image = self.image(id).await;
            matches!(image.str("status"), "ready" | "rejected").then_some(image)
        })
        .await
    }

    /// Every image that a list gives, page after page.
    pub(crate) async fn pages(&self, list: &str) -> Vec<Value> {
        let mut results = Vec::new();
        let mut target = list.to_owned();
        loop {
            let page = self.get(&target).await.assert_json(200);
            results.extend_from_slice(page.list("results"));
            match page["next_cursor"].as_str() {
                None => return results,
                Some(cursor) => {
                    let joint = if list.contains('?') { '&' } else { '?' };
                    target = format!("{list}{joint}cursor={cursor}");
                }
            }
        }
    }
}

impl From<Value> for Created {
    fn from(answer: Value) -> Self {
        Self {
            id: answer["image"].str("id").to_owned(),
            image: answer["image"].clone(),
            upload: answer["upload"].clone(),
        }
    }
}

impl Created {
    /// Uploads as the answer says.
    pub(crate) async fn put(&self, stack: &Stack, bytes: &[u8]) -> Answer {
        self.put_with(stack, bytes, &[]).await
    }

    /// Uploads as the answer says, but with some of its headers replaced.
    pub(crate) async fn put_with(&self, stack: &Stack, bytes: &[u8], other: &[(&str, &str)]) -> Answer {
        let mut call = stack.call(Method::PUT, self.upload.str("url"));
        for (name, value) in self.upload["headers"].as_object().expect("upload headers") {
            // The client counts the body itself.
            if name.eq_ignore_ascii_case("content-length") || other.iter().any(|(it, _)| name.eq_ignore_ascii_case(it))
            {
                continue;
            }
            call = call.header(name, value.as_str().expect("a header's text"));
        }
        for (name, value) in other {
            call = call.header(name, value);
        }
        call.body(bytes.to_vec()).await
    }
}
