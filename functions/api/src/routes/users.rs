pub(super) mod list_users;
