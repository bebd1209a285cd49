"""Signs up, uploads an image and makes a link, through the generated Python client alone."""

import os
import sys
import time
import uuid
from pathlib import Path

import httpx

sys.path.append(str(Path(__file__).resolve().parents[1]))

from contract import URL, mailed_code
from tintype_client import AuthenticatedClient, Client
from tintype_client.api.accounts import confirm, get_me, login, logout, signup
from tintype_client.api.expiring_links import create_link, get_link, list_links, replace_link
from tintype_client.api.images import create_image, get_image, list_images
from tintype_client.api.users import assign_plan
from tintype_client.models import (
    AssignPlan,
    Confirm,
    CreateImage,
    CreateImageContentType,
    CreateLink,
    GatewayError,
    Link,
    LinkPage,
    LogIn,
    Problem,
    ReplaceLink,
    SignUp,
)

PASSWORD, PHOTO = os.environ["PASSWORD"], Path(os.environ["PHOTO"])


def main() -> None:
    client, email = Client(URL, raise_on_unexpected_status=True), f"python-{uuid.uuid4().hex}@example.org"
    signed_up = signup.sync(client=client, body=SignUp(email=email, password=PASSWORD, name="Grace"))
    assert signup.sync(client=client, body=SignUp(email=email, password="short", name="")).code == "invalid"
    assert confirm.sync_detailed(client=client, body=Confirm(email=email, code=mailed_code(email))).status_code == 204

    # Errors of the service, and of the gateway in front of it.
    refused = login.sync(client=client, body=LogIn(email=email, password="Wrong-Harbour-1"))
    assert isinstance(refused, Problem) and refused.code == "bad_credentials", refused
    stranger = AuthenticatedClient(URL, "nonsense", raise_on_unexpected_status=True)
    assert isinstance(get_me.sync(client=stranger), GatewayError)

    session = login.sync(client=client, body=LogIn(email=email, password=PASSWORD))
    user = AuthenticatedClient(URL, session.access_token, raise_on_unexpected_status=True)
    admin = AuthenticatedClient(URL, os.environ["ADMIN_TOKEN"], raise_on_unexpected_status=True)
    assert assign_plan.sync(signed_up.user_id, client=admin, body=AssignPlan(plan="Enterprise")).job.kind
    while get_me.sync(client=user).plan != "Enterprise":
        time.sleep(0.1)

    draft = CreateImage(title="Harbour", content_type=CreateImageContentType.IMAGEPNG, size=PHOTO.stat().st_size)
    created = create_image.sync(client=user, body=draft)
    upload = created.upload
    httpx.request(
        upload.method, upload.url, headers=upload.headers.to_dict(), content=PHOTO.read_bytes()
    ).raise_for_status()
    deadline = time.monotonic() + 90
    while (image := get_image.sync(created.image.id, client=user)).status != "ready":
        assert time.monotonic() < deadline, image
        time.sleep(0.1)
    assert (image.width, image.height) == (640, 480)
    assert [shown.id for shown in list_images.sync(client=user).results] == [image.id]
    assert isinstance(get_image.sync("nothing", client=user), Problem)

    link = create_link.sync(client=user, body=CreateLink(base_image=image.id, expiry_in_seconds=300))
    assert isinstance(link, Link)
    assert httpx.get(link.link_url, follow_redirects=True).content == PHOTO.read_bytes()
    page = list_links.sync(client=user)
    assert isinstance(page, LinkPage) and [shown.id for shown in page.results] == [link.id]
    read = get_link.sync(link.id, client=user)
    assert read.downloads == 1
    body = ReplaceLink.from_dict(read.to_dict())
    assert replace_link.sync(link.id, client=user, body=body).link_url == link.link_url
    assert logout.sync_detailed(client=user).status_code == 204


main()
