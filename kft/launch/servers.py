"""Files that have a cluster serve an artifact: a Deployment and its Service, or KServe's InferenceService.

The server reads the artifact, or a name on a shelf, from the bucket itself: so that it follows the champion, whatever
runs it. A container has no place to write but its cache and /tmp.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from kft import __version__
from kft.characters import visible
from kft.errors import UsageError
from kft.launch.jobs import require_image, templates
from kft.launch.placing import require_gs

PORT = 8000
DRAIN_SECONDS = 10
"""In which a cluster hears that a server stops, and sends nothing more to it."""
GRACE_SECONDS = 60
"""For that, and for the requests that were let in: `kft serve` takes 35 seconds at most."""


@dataclass(frozen=True)
class ServerSpec:
    """A server to be written down.

    Attributes:
        on: One of ``CLUSTERS``.
        artifact: ``gs://`` and the artifact's folder, or the shelf's and a name.
        image: The container image, built from docker/serve.Dockerfile.
        replicas: How many.
        cpus: That each asks for.
        memory: Likewise, as Kubernetes writes it.
    """

    on: str
    artifact: str
    image: str
    replicas: int = 1
    cpus: int = 2
    memory: str = "2Gi"

    @property
    def name(self) -> str:
        """The server's, an RFC 1123 label with room for what is appended."""
        last = self.artifact.rpartition("/")[2].partition("@")[0]
        return f"kft-{re.sub(r'[^a-z0-9]+', '-', last.lower())}"[:40].strip("-")


def make_server(on: str, artifact: str, image: str, replicas: int) -> ServerSpec:
    """Returns a server whose parts a cluster takes.

    Raises:
        UsageError: The artifact is not in Cloud Storage, or the image's name is none.
    """
    place, at, pick = artifact.partition("@")
    place = require_gs(place, "ARTIFACT", "of an artifact, or gs://BUCKET/SHELF/NAME")
    if at and not re.fullmatch(r"champion|challenger|[1-9]\d{0,8}", pick):
        raise UsageError(
            "this is neither an alias nor a version",
            where="ARTIFACT",
            received=visible(pick),
            expected="@champion, @challenger or the number of a version",
        )
    return ServerSpec(on, place + at + pick, require_image(image), replicas)


def render_server(server: ServerSpec, file: str) -> str:
    """Returns the file's text.

    Args:
        server: What it says.
        file: Its name, for the command that submits it.
    """
    environment = templates()
    values = {
        "server": server,
        "file": file,
        "version": __version__,
        "port": PORT,
        "drain": DRAIN_SECONDS,
        "grace": GRACE_SECONDS,
    }
    container = environment.get_template("server_container.j2").render(values).rstrip("\n")
    return environment.get_template(f"{server.on}.yaml.j2").render(values, container=container)
