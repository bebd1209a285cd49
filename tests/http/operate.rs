//! Commands of an operator: `make plans`, `make admin`, and the plans of the local stack's demo users.

use serde_json::{Value, json};
use uuid::Uuid;

use crate::harness::{Body, FunctionUnderTest, Item, Stack, deaths, eventually, number, on_stack, text, unique};
use crate::plan_changes::rules;

/// The command that loads one plan.
pub(crate) fn load(name: &str, heights: &[u32], add_only: bool) -> Value {
    let mut plan = rules(heights);
    plan["name"] = json!(name);
    json!({"command": "load_plans", "plans": [plan], "add_only": add_only})
}

async fn run(function: &FunctionUnderTest, command: Value) -> Value {
    function.invoke(command).await.expect("it answers")
}

async fn heights(stack: &Stack, plan: &str) -> Value {
    stack.get(format!("/api/plans/{plan}")).await.assert_json(200)["thumbnail_heights"].clone()
}

/// The jobs that rebuild the thumbnails of a plan's users and that no user owns.
async fn jobs(stack: &Stack, plan: &str) -> Vec<Item> {
    let found = stack
        .dynamodb
        .query()
        .table_name(&stack.table)
        .consistent_read(true)
        .key_condition_expression("pk = :pk AND begins_with(sk, :sk)")
        .expression_attribute_values(":pk", text(format!("USER#{}", Uuid::nil())))
        .expression_attribute_values(":sk", text("JOB#"))
        .send()
        .await
        .expect("the table can be queried");
    let jobs = found.items.unwrap_or_default().into_iter();
    jobs.filter(|job| job.get("plan").is_some_and(|of| *of == text(plan))).collect()
}

#[test]
fn plans_of_a_file_are_written_once_and_only_where_they_differ() {
    on_stack(async |stack| {
        let (operator, name) = (stack.function("operate").await, format!("file-{}", unique()));
        let written = json!({"written": [name]});
        assert_eq!(run(&operator, load(&name, &[100], false)).await, written);
        assert_eq!(run(&operator, load(&name, &[100], false)).await, json!({"written": []}));
        assert_eq!(run(&operator, load(&name, &[50], true)).await, json!({"written": []}), "it only adds");
        assert_eq!(heights(stack, &name).await, json!([100]));
        assert_eq!(jobs(stack, &name).await.len(), 0, "a new plan has no users");

        // An assignment marks its plan; a change keeps the mark.
        let key = ("PLANS".to_owned(), format!("PLAN#{name}"));
        stack.change(key.clone(), "pk", "SET assigned_at = :now", &[(":now", number(1))]).await;
        assert_eq!(run(&operator, load(&name, &[200, 50], false)).await, written);
        assert_eq!(heights(stack, &name).await, json!([50, 200]));
        let plan = stack.item(key.0, key.1).await.expect("it is there");
        assert_eq!(plan["assigned_at"], number(1));
        eventually("the job of the plan to end", async || {
            let jobs = jobs(stack, &name).await;
            (jobs.len() == 1 && jobs[0]["status"] == text("done")).then_some(())
        })
        .await;
    });
}

#[test]
fn command_killed_at_any_call_changes_plan_and_job_together() {
    on_stack(async |stack| {
        let name = format!("file-{}", unique());
        let operator = stack.function("operate").await;
        run(&operator, load(&name, &[16], false)).await;
        operator.proxy.take_calls();
        run(&operator, load(&name, &[17], false)).await;
        let calls = operator.proxy.take_operations();
        assert_eq!(calls, ["BatchGetItem", "SendMessage", "TransactWriteItems"]);
        let mut changes = 1;
        for (number, death) in deaths(&calls).enumerate() {
            let wanted = 20 + u32::try_from(number).expect("few calls");
            let command = load(&name, &[wanted], false);
            let moment = format!("{death:?}");
            let dying = stack.function("operate").await;
            dying.kill_at(death, command.clone()).await.expect("it makes this call");
            let changed = heights(stack, &name).await == json!([wanted]);
            assert_eq!(jobs(stack, &name).await.len(), changes + usize::from(changed), "{moment}");
            run(&operator, command).await;
            changes += 1;
            assert_eq!(heights(stack, &name).await, json!([wanted]), "{moment}");
            assert_eq!(jobs(stack, &name).await.len(), changes, "{moment}");
        }
    });
}

#[test]
fn user_gets_the_plan_and_the_rights_that_an_operator_gives() {
    on_stack(async |stack| {
        let (operator, user) = (stack.function("operate").await, stack.user().await);
        let email = user.email.to_uppercase();
        let assign = |plan: &str| json!({"command": "assign_plan", "email": email, "plan": plan});
        let assigned = run(&operator, assign("Enterprise")).await;
        assert!(assigned["job"].is_string(), "{assigned}");
        assert_eq!(user.get("/api/me").await.assert_json(200)["plan"], "Enterprise");
        let made = run(&operator, json!({"command": "make_admin", "email": email})).await;
        assert_eq!(made["user"], user.api_id, "{made}");
        let admin = user.another_session().await;
        admin.get("/api/users?limit=1").await.assert_status(200);

        let nobody = format!("{}@example.com", unique());
        let no_user = json!({"refused": "No user has this e-mail address."});
        for email in [nobody.as_str(), "nobody", ""] {
            assert_eq!(run(&operator, json!({"command": "make_admin", "email": email})).await, no_user, "{email}");
        }
        assert_eq!(run(&operator, assign("Gold!")).await, json!({"refused": "There is no plan \"Gold!\"."}));
        assert_eq!(run(&operator, assign("Gold")).await, json!({"refused": "There is no plan \"Gold\"."}));
    });
}

#[test]
fn plans_that_the_api_would_refuse_are_refused_before_any_is_written() {
    on_stack(async |stack| {
        let (operator, name) = (stack.function("operate").await, format!("file-{}", unique()));
        for (field, value) in [
            ("name", json!("a b")),
            ("thumbnail_heights", json!([15])),
            ("max_image_bytes", json!(0)),
            ("max_image_bytes", json!(1_u64 << 40)),
        ] {
            let mut command = load(&name, &[100], false);
            let mut wrong = command["plans"][0].clone();
            wrong[field] = value;
            command["plans"].as_array_mut().expect("a list").push(wrong);
            let answer = run(&operator, command).await;
            assert!(answer.str("refused").contains("is invalid: "), "{answer}");
            stack.get(format!("/api/plans/{name}")).await.assert_status(404);
        }
        let mut command = load(&name, &[100], false);
        command["plans"][0]["colour"] = json!("red");
        operator.invoke(command).await.expect_err("a plan has no colour");
    });
}
