"""The parts of the platforms' published schemas that job files use, as JSON Schema; a key outside them is an error.

Vertex AI: https://cloud.google.com/vertex-ai/docs/reference/rest/v1/CustomJobSpec, and its WorkerPoolSpec, MachineSpec,
ContainerSpec and Scheduling; the same fields stand in the Google Cloud SDK 528.0.0, aiplatform_v1_messages.py.
JobSet: api/jobset/v1alpha2/jobset_types.go of https://github.com/kubernetes-sigs/jobset.
Job and Pod: https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/ and .../pod-v1/.
GKE: https://cloud.google.com/kubernetes-engine/docs/concepts/plan-tpus (labels, topologies, machine types),
https://cloud.google.com/kubernetes-engine/docs/concepts/gpus,
https://cloud.google.com/kubernetes-engine/docs/how-to/cloud-storage-fuse-csi-driver-ephemeral.
TPU VMs: https://cloud.google.com/sdk/gcloud/reference/compute/tpus/queued-resources/create,
https://cloud.google.com/tpu/docs/runtimes, https://cloud.google.com/tpu/docs/queued-resources.
"""

from __future__ import annotations

from typing import Any

TEXT = {"type": "string", "minLength": 1}
COUNT = {"type": "integer", "minimum": 1}
TEXTS = {"type": "array", "items": TEXT, "minItems": 1}
LABEL = {
    "type": "string",
    "pattern": r"^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$",
}  # RFC 1123; a Service's starts with a letter
IMAGE = {"type": "string", "pattern": r"^[a-z0-9][\w./:@-]+$"}


def mapping(required: dict[str, Any], optional: dict[str, Any] | None = None) -> dict[str, Any]:
    """Returns the schema of a mapping that has these keys and no others."""
    return {
        "type": "object",
        "properties": {**required, **(optional or {})},
        "required": list(required),
        "additionalProperties": False,
    }


def several(item: dict[str, Any]) -> dict[str, Any]:
    """Returns the schema of a list with something in it."""
    return {"type": "array", "items": item, "minItems": 1}


VERTEX_GPUS = ["NVIDIA_TESLA_T4", "NVIDIA_L4", "NVIDIA_TESLA_A100", "NVIDIA_A100_80GB", "NVIDIA_H100_80GB"]
VERTEX_MACHINE = {
    "oneOf": [
        mapping(
            {
                "machineType": {
                    "type": "string",
                    "pattern": r"^(n1-standard|g2-standard|a2-(high|ultra)gpu|a3-highgpu)-\d+g?$",
                },
                "acceleratorType": {"enum": VERTEX_GPUS},
                "acceleratorCount": COUNT,
            }
        ),
        mapping(
            {
                "machineType": {"enum": ["ct5lp-hightpu-1t", "ct5lp-hightpu-4t", "ct5lp-hightpu-8t"]},
                "tpuTopology": {"enum": ["1x1", "2x2", "2x4"]},
            }
        ),
    ]
}
VERTEX = mapping(
    {
        "workerPoolSpecs": several(
            mapping(
                {
                    "machineSpec": VERTEX_MACHINE,
                    "replicaCount": COUNT,
                    "containerSpec": mapping({"imageUri": IMAGE, "command": TEXTS, "args": TEXTS}),
                }
            )
        ),
        "scheduling": mapping(
            {"restartJobOnWorkerRestart": {"const": True}}, {"strategy": {"enum": ["STANDARD", "SPOT", "FLEX_START"]}}
        ),
    }
)

NODE_SELECTOR = {
    "oneOf": [
        mapping(
            {
                "cloud.google.com/gke-tpu-accelerator": {"enum": ["tpu-v5-lite-podslice", "tpu-v6e-slice"]},
                "cloud.google.com/gke-tpu-topology": {"enum": ["1x1", "2x2", "2x4"]},
            },
            {"cloud.google.com/gke-spot": {"const": "true"}},
        ),
        mapping(
            {
                "cloud.google.com/gke-accelerator": {
                    "enum": [
                        "nvidia-tesla-t4",
                        "nvidia-l4",
                        "nvidia-tesla-a100",
                        "nvidia-a100-80gb",
                        "nvidia-h100-80gb",
                    ]
                }
            },
            {"cloud.google.com/gke-spot": {"const": "true"}},
        ),
    ]
}
BUCKET = mapping(
    {
        "driver": {"const": "gcsfuse.csi.storage.gke.io"},
        "volumeAttributes": mapping({"bucketName": TEXT, "mountOptions": TEXT}),
    }
)
POD = mapping(
    {
        "restartPolicy": {"const": "Never"},  # a podFailurePolicy asks for it
        "serviceAccountName": LABEL,
        "terminationGracePeriodSeconds": COUNT,
        "nodeSelector": NODE_SELECTOR,
        "containers": several(
            mapping(
                {
                    "name": LABEL,
                    "image": IMAGE,
                    "command": TEXTS,
                    "args": TEXTS,
                    "ports": several(mapping({"containerPort": COUNT})),
                    "resources": mapping(
                        {
                            "limits": {
                                "oneOf": [mapping({"google.com/tpu": COUNT}), mapping({"nvidia.com/gpu": COUNT})],
                            }
                        }
                    ),
                    "volumeMounts": several(mapping({"name": LABEL, "mountPath": TEXT})),
                }
            )
        ),
        "volumes": several(
            {
                "oneOf": [
                    mapping({"name": LABEL, "csi": BUCKET}),
                    mapping({"name": LABEL, "emptyDir": mapping({"medium": {"const": "Memory"}})}),
                ]
            }
        ),
    },
    {"tolerations": several(mapping({"key": TEXT, "operator": TEXT, "value": TEXT, "effect": TEXT}))},
)
JOB = mapping(
    {
        "completionMode": {"const": "Indexed"},  # else no pod has an index, and none a host name
        "completions": COUNT,
        "parallelism": COUNT,
        "backoffLimit": {"const": 0},  # the JobSet starts all pods again, not the Job one
        "podFailurePolicy": mapping(
            {
                "rules": several(
                    mapping(
                        {
                            "action": {"enum": ["FailJob", "FailIndex", "Ignore", "Count"]},
                            "onExitCodes": mapping(
                                {
                                    "containerName": LABEL,
                                    "operator": {"enum": ["In", "NotIn"]},
                                    "values": several(COUNT),
                                }
                            ),
                        }
                    )
                )
            }
        ),
        "template": mapping(
            {"metadata": mapping({"annotations": mapping({"gke-gcsfuse/volumes": {"const": "true"}})}), "spec": POD}
        ),
    }
)
JOB_FAILURES = [
    "BackoffLimitExceeded",
    "DeadlineExceeded",
    "FailedIndexes",
    "MaxFailedIndexesExceeded",
    "PodFailurePolicy",
]
JOBSET = mapping(
    {
        "apiVersion": {"const": "jobset.x-k8s.io/v1alpha2"},
        "kind": {"const": "JobSet"},
        "metadata": mapping({"name": LABEL}),
        "spec": mapping(
            {
                "failurePolicy": mapping(
                    {
                        "maxRestarts": COUNT,
                        "rules": several(
                            mapping(
                                {
                                    "name": {"type": "string", "pattern": r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$"},
                                    "action": {
                                        "enum": ["FailJobSet", "RestartJobSet", "RestartJobSetAndIgnoreMaxRestarts"]
                                    },
                                    "onJobFailureReasons": several({"enum": JOB_FAILURES}),
                                }
                            )
                        ),
                    }
                ),
                "network": mapping(
                    {"enableDNSHostnames": {"type": "boolean"}, "publishNotReadyAddresses": {"type": "boolean"}}
                ),
                "replicatedJobs": several(
                    mapping({"name": LABEL, "replicas": COUNT, "template": mapping({"spec": JOB})})
                ),
            }
        ),
    }
)

QUEUED_RESOURCE_FLAGS = {
    "create": {
        *("node-id", "accelerator-type", "runtime-version", "zone", "spot", "scopes", "metadata-from-file"),
        *("service-account", "network", "subnetwork", "internal-ips", "labels", "tags", "valid-until-duration"),
    },
    "describe": {"zone", "format"},
    "delete": {"zone", "force", "quiet"},
}
TPU_VM = {
    **dict.fromkeys(("v5litepod-1", "v5litepod-4", "v5litepod-8"), "v2-alpha-tpuv5-lite"),
    **dict.fromkeys(("v6e-1", "v6e-4", "v6e-8"), "v2-alpha-tpuv6e"),
}
"""Accelerator types of one host, and the software version that goes with each."""
QUEUED_RESOURCE_STATES = {
    *("CREATING", "ACCEPTED", "WAITING_FOR_RESOURCES", "PROVISIONING", "ACTIVE", "SUSPENDING", "SUSPENDED", "FAILED"),
    "DELETING",
}
