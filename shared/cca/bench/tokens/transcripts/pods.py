"""Pods of Kubernetes, as `kubectl get -o json` prints them."""

import random

from cca.bench.tokens.transcripts.clock import Clock
from cca.bench.tokens.transcripts.json_objects import Json
from cca.bench.tokens.transcripts.words import COMPANIES, address, hexadecimal, suffix, uuid


def pod(rng: random.Random, clock: Clock, app: str, image: str) -> Json:
    """A pod as `kubectl get -o json` prints it."""
    clock.tick(3)
    hash_ = hexadecimal(rng, 10)
    name = f"{app}-{hash_}-{suffix(rng)}"
    since = clock.iso()[:19] + "Z"
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "annotations": {
                "kubernetes.io/psp": "eks.privileged",
                "prometheus.io/port": "9090",
                "prometheus.io/scrape": "true",
            },
            "creationTimestamp": since,
            "generateName": f"{app}-{hash_}-",
            "labels": {
                "app": app,
                "pod-template-hash": hash_,
                "team": rng.choice(COMPANIES).lower(),
                "tier": "backend",
            },
            "name": name,
            "namespace": "prod",
            "ownerReferences": [
                {
                    "apiVersion": "apps/v1",
                    "blockOwnerDeletion": True,
                    "controller": True,
                    "kind": "ReplicaSet",
                    "name": f"{app}-{hash_}",
                    "uid": uuid(rng),
                }
            ],
            "resourceVersion": str(rng.randint(10**7, 10**8)),
            "uid": uuid(rng),
        },
        "spec": {
            "containers": [
                {
                    "env": [
                        {"name": "LOG_LEVEL", "value": "info"},
                        {"name": "DATABASE_URL", "valueFrom": {"secretKeyRef": {"key": "url", "name": f"{app}-db"}}},
                        {"name": "POOL_SIZE", "value": "20"},
                    ],
                    "image": image,
                    "imagePullPolicy": "IfNotPresent",
                    "livenessProbe": {
                        "failureThreshold": 3,
                        "httpGet": {"path": "/healthz", "port": 8080, "scheme": "HTTP"},
                        "initialDelaySeconds": 10,
                        "periodSeconds": 10,
                        "successThreshold": 1,
                        "timeoutSeconds": 1,
                    },
                    "name": app,
                    "ports": [
                        {"containerPort": 8080, "name": "http", "protocol": "TCP"},
                        {"containerPort": 9090, "name": "metrics", "protocol": "TCP"},
                    ],
                    "resources": {
                        "limits": {"cpu": "1", "memory": "1Gi"},
                        "requests": {"cpu": "250m", "memory": "512Mi"},
                    },
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                    "volumeMounts": [
                        {
                            "mountPath": ("/var/run/secrets/kubernetes.io/serviceaccount"),
                            "name": f"kube-api-access-{suffix(rng)}",
                            "readOnly": True,
                        }
                    ],
                }
            ],
            "dnsPolicy": "ClusterFirst",
            "enableServiceLinks": True,
            "nodeName": f"ip-10-42-{rng.randint(1, 200)}-{rng.randint(2, 250)}.eu-west-1.compute.internal",
            "priority": 0,
            "restartPolicy": "Always",
            "schedulerName": "default-scheduler",
            "serviceAccount": app,
            "terminationGracePeriodSeconds": 30,
            "tolerations": [
                {
                    "effect": "NoExecute",
                    "key": "node.kubernetes.io/not-ready",
                    "operator": "Exists",
                    "tolerationSeconds": 300,
                },
                {
                    "effect": "NoExecute",
                    "key": "node.kubernetes.io/unreachable",
                    "operator": "Exists",
                    "tolerationSeconds": 300,
                },
            ],
        },
        "status": {
            "conditions": [
                {"lastProbeTime": None, "lastTransitionTime": since, "status": "True", "type": kind}
                for kind in ("Initialized", "Ready", "ContainersReady", "PodScheduled")
            ],
            "containerStatuses": [
                {
                    "containerID": f"containerd://{hexadecimal(rng, 64)}",
                    "image": image,
                    "imageID": f"{image.split(':')[0]}@sha256:{hexadecimal(rng, 64)}",
                    "lastState": {},
                    "name": app,
                    "ready": True,
                    "restartCount": 0,
                    "started": True,
                    "state": {"running": {"startedAt": since}},
                }
            ],
            "hostIP": address(rng),
            "phase": "Running",
            "podIP": address(rng),
            "qosClass": "Burstable",
            "startTime": since,
        },
    }
