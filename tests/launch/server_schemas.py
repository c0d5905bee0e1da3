"""The parts of the published schemas that server files use; a key outside them is an error.

Deployment, Service, Pod: https://kubernetes.io/docs/reference/kubernetes-api/, workload-resources/deployment-v1,
service-resources/service-v1, workload-resources/pod-v1. InferenceService: pkg/apis/serving/v1beta1 of
https://github.com/kserve/kserve, whose predictor is a pod's spec with a few keys more.
"""

from __future__ import annotations

from tests.launch.schemas import COUNT, IMAGE, LABEL, TEXT, TEXTS, mapping, several

PROBE = mapping(
    {"httpGet": mapping({"path": {"type": "string", "pattern": "^/"}, "port": COUNT}), "periodSeconds": COUNT},
    {"timeoutSeconds": COUNT, "failureThreshold": COUNT},
)
QUANTITY = {"type": "string", "pattern": r"^\d+(m|[KMGT]i)?$"}
SECRET = mapping({"name": LABEL, "key": TEXT})
CONTAINER = mapping(
    {
        "name": LABEL,
        "image": IMAGE,
        "args": TEXTS,
        "env": several(
            mapping({"name": TEXT, "valueFrom": mapping({"secretKeyRef": mapping({"name": LABEL, "key": TEXT})})})
        ),
        "ports": several(mapping({"containerPort": COUNT, "protocol": {"enum": ["TCP", "UDP", "SCTP"]}})),
        "startupProbe": PROBE,
        "readinessProbe": PROBE,
        "livenessProbe": PROBE,
        "lifecycle": mapping({"preStop": mapping({"exec": mapping({"command": TEXTS})})}),
        "resources": mapping(
            {"requests": mapping({"cpu": QUANTITY, "memory": QUANTITY}), "limits": mapping({"memory": QUANTITY})}
        ),
        "securityContext": mapping(
            {
                "runAsNonRoot": {"type": "boolean"},
                "runAsUser": COUNT,
                "allowPrivilegeEscalation": {"type": "boolean"},
                "readOnlyRootFilesystem": {"type": "boolean"},
                "capabilities": mapping({"drop": TEXTS}),
            }
        ),
        "volumeMounts": several(mapping({"name": LABEL, "mountPath": TEXT})),
    }
)
POD = {
    "serviceAccountName": LABEL,
    "terminationGracePeriodSeconds": COUNT,
    "containers": several(CONTAINER),
    "volumes": several(mapping({"name": LABEL, "emptyDir": mapping({})})),
}
LABELS = mapping({"app": LABEL})
ANNOTATIONS = {"type": "object", "additionalProperties": {"type": "string"}}
DEPLOYMENT = mapping(
    {
        "apiVersion": {"const": "apps/v1"},
        "kind": {"const": "Deployment"},
        "metadata": mapping({"name": LABEL}),
        "spec": mapping(
            {
                "replicas": COUNT,
                "selector": mapping({"matchLabels": LABELS}),
                "strategy": mapping(
                    {
                        "type": {"enum": ["RollingUpdate", "Recreate"]},
                        "rollingUpdate": mapping({"maxUnavailable": {"type": "integer"}, "maxSurge": COUNT}),
                    }
                ),
                "template": mapping(
                    {"metadata": mapping({"labels": LABELS, "annotations": ANNOTATIONS}), "spec": mapping(POD)}
                ),
            }
        ),
    }
)
SERVICE = mapping(
    {
        "apiVersion": {"const": "v1"},
        "kind": {"const": "Service"},
        "metadata": mapping({"name": LABEL}),
        "spec": mapping(
            {"selector": LABELS, "ports": several(mapping({"name": LABEL, "port": COUNT, "targetPort": COUNT}))}
        ),
    }
)
INFERENCE_SERVICE = mapping(
    {
        "apiVersion": {"const": "serving.kserve.io/v1beta1"},
        "kind": {"const": "InferenceService"},
        "metadata": mapping({"name": LABEL, "annotations": ANNOTATIONS}),
        "spec": mapping({"predictor": mapping({"minReplicas": COUNT, **POD})}),
    }
)
