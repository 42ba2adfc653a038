# Three schedulers on the hosts whose client configuration has, each with a number of its own,
#
#   meta { reel_scheduler = "1" }
#   host_volume "reel-scheduler" { path = "/srv/reel-scheduler" }
#
# where the folder belongs to user 10001, and workers on any others. Workers get their time to end only where the clients have
# `max_kill_timeout = "2m"`. For the first start, and for no other:
#
#   nomad job run -var begin=1 -var-file=farm.hcl reel.nomad.hcl

variable "image" {
  type    = string
  default = "reelfarm:latest"
}

variable "schedulers" {
  type        = string
  description = "where all schedulers are reached: http://10.0.0.1:7101,http://10.0.0.2:7101,http://10.0.0.3:7101"
}

variable "store" {
  type        = string
  description = "the store of finished parts, such as s3://bucket/reel"
}

variable "begin" {
  type        = string
  default     = "none"
  description = "the number of the scheduler that begins a cluster; none once it stands"
}

variable "workers" {
  type    = number
  default = 2
}

job "reel" {
  type = "service"

  group "scheduler" {
    count = 3

    constraint {
      attribute = "${meta.reel_scheduler}"
      operator  = "is_set"
    }

    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    update {
      max_parallel     = 1
      health_check     = "checks"
      min_healthy_time = "60s"
    }

    network {
      mode = "host"
      port "grpc" {
        static = 7101
      }
    }

    volume "data" {
      type   = "host"
      source = "reel-scheduler"
    }

    task "scheduler" {
      driver       = "docker"
      user         = "10001:10001"
      kill_signal  = "SIGTERM"
      kill_timeout = "30s"

      service {
        name     = "reel-scheduler"
        port     = "grpc"
        provider = "nomad"

        check {
          type     = "http"
          path     = "/readyz"
          interval = "10s"
          timeout  = "5s"
        }
      }

      config {
        image           = var.image
        network_mode    = "host"
        readonly_rootfs = true
        cap_drop        = ["all"]
        command         = "sh"
        args = ["-euc", <<EOF
begin="--join $SCHEDULERS"
[ "$ID" != "$BEGIN" ] || begin=--bootstrap
# The folder is the number's: another number begins in a new one.
exec reel scheduler start --id "$ID" --listen 0.0.0.0:7101 --advertise "http://$ADDRESS:7101" --data "/var/lib/reel/$ID" $begin
EOF
        ]
      }

      env {
        ID         = "${meta.reel_scheduler}"
        ADDRESS    = "${attr.unique.network.ip-address}"
        BEGIN      = var.begin
        SCHEDULERS = var.schedulers
      }

      volume_mount {
        volume      = "data"
        destination = "/var/lib/reel"
      }

      resources {
        cpu        = 500
        memory     = 1024
        memory_max = 2048
      }
    }
  }

  group "worker" {
    count = var.workers

    constraint {
      operator = "distinct_hosts"
      value    = "true"
    }

    # The scratch folder.
    ephemeral_disk {
      size = 50000
    }

    # One that left by a notice of its cloud is started again, hears of the same notice, and leaves again.
    restart {
      attempts = 10
      interval = "30m"
      delay    = "15s"
      mode     = "delay"
    }

    network {
      mode = "host"
    }

    task "worker" {
      driver      = "docker"
      kill_signal = "SIGTERM"
      # --notice and 25 s.
      kill_timeout = "115s"

      config {
        image           = var.image
        network_mode    = "host"
        readonly_rootfs = true
        cap_drop        = ["all"]
        command         = "reel"
        args = [
          "worker", "start",
          "--name", "${NOMAD_GROUP_NAME}-${NOMAD_SHORT_ALLOC_ID}",
          "--slots", "4",
          "--data", "${NOMAD_TASK_DIR}",
          "--store", var.store,
          "--notice", "90",
          "--cloud", "auto",
        ]
      }

      env {
        REEL_SERVER = var.schedulers
      }

      # Credentials of the store: `nomad var put nomad/jobs/reel/worker AWS_ACCESS_KEY_ID=.. AWS_SECRET_ACCESS_KEY=.. AWS_REGION=..`
      template {
        destination = "${NOMAD_SECRETS_DIR}/store.env"
        env         = true
        # Credentials that are renewed are read at the next start of a worker.
        change_mode = "noop"
        data        = <<EOF
{{ if nomadVarExists "nomad/jobs/reel/worker" }}{{ with nomadVar "nomad/jobs/reel/worker" }}{{ range .Tuples }}
{{ .K }}={{ .V }}
{{ end }}{{ end }}{{ end }}
EOF
      }

      resources {
        cores  = 4
        memory = 12288
      }
    }
  }
}
