"""language_node: an operator's sentence in, the task and its embedding out, or a refusal that names the nearest tasks.

A refused sentence also ends the task in progress: whoever says something else wants something else. A policy that was
trained with another language model than the one installed, as an imported one, is asked for by the names of its tasks.
"""

from __future__ import annotations

from dataclasses import dataclass

from rclpy.node import Node
from std_msgs.msg import Float32MultiArray, String

from legion_core.bundle import PolicyBundle
from legion_core.embedding import MODEL_NAME, InstructionEncoder
from legion_core.language import MARGIN, THRESHOLD, TaskResolver, task_by_name
from legion_ros import topics
from legion_ros.diagnostics import Diagnostics
from legion_ros.parameters import declare, parameter
from legion_ros.process import run
from legion_ros.qos import EVENT, LATCHED
from legion_ros.reply import Reply
from legion_ros.vector_messages import float32_array

NAME = "language_node"


@dataclass(frozen=True)
class LanguageSettings:
    """Parameters of the language node."""

    policy: str = parameter("", "Folder of the policy bundle; empty: the one that comes with the package")
    threshold: float = parameter(
        THRESHOLD, "Least cosine similarity of a sentence with a known one", minimum=0.0, maximum=1.0
    )
    margin: float = parameter(
        MARGIN, "Least distance in similarity to anything else the sentence could mean", minimum=0.0, maximum=1.0
    )


class LanguageNode(Node):
    """Answers each sentence on `legion/instruction`; an empty one ends the task."""

    def __init__(self) -> None:
        super().__init__(NAME)
        settings = declare(self, LanguageSettings)
        self._bundle = PolicyBundle.load(settings.policy or None)
        self._resolver = TaskResolver(self._bundle, settings.threshold, settings.margin)
        self._encoder: InstructionEncoder | None = None
        if self._bundle.manifest.embedding.name == MODEL_NAME:
            self._encoder = InstructionEncoder()
        else:
            self.get_logger().warning(self._names_only())
        self._task = ""
        self._embedding_publisher = self.create_publisher(Float32MultiArray, topics.TASK_EMBEDDING, LATCHED)
        self._task_publisher = self.create_publisher(String, topics.TASK, LATCHED)
        self._reply_publisher = self.create_publisher(String, topics.REPLY, EVENT)
        self.create_subscription(String, topics.INSTRUCTION, self._on_instruction, EVENT)
        self._diagnostics = Diagnostics(self, lambda: ("listening", {"task": self._task or "none"}))

    def _on_instruction(self, message: String) -> None:
        reply = self._obey(message.data)
        self.get_logger().info(str(reply))
        self._reply_publisher.publish(String(data=str(reply)))

    def _obey(self, sentence: str) -> Reply:
        if not sentence.strip():
            self._publish_task("")
            return Reply(True, sentence, "stop")
        task, answer = self._understand(sentence)
        self._publish_task(task or "")
        return Reply(task is not None, sentence, answer)

    def _understand(self, sentence: str) -> tuple[str | None, str]:
        """The task that is meant, if it is clear, and what to tell the operator."""
        if self._encoder is None:
            task = task_by_name(self._bundle.manifest, sentence)
            return task, task or self._names_only()
        resolution = self._resolver.resolve(self._encoder.encode([sentence])[0])
        if resolution.task is None:
            return None, resolution.suggestion()
        return resolution.task, f"{resolution.task} (similarity {resolution.score:.2f})"

    def _names_only(self) -> str:
        names, model = ", ".join(self._bundle.task_names), self._bundle.manifest.embedding.name
        return f"the policy's language model ({model}) is not installed, so only its tasks' names are known: {names}"

    def _publish_task(self, task: str) -> None:
        """The embedding first: it is what the policy acts on, and an empty one stops it."""
        self._task = task
        # the canonical embedding is the one the policy's success was measured with
        self._embedding_publisher.publish(float32_array(self._bundle.embedding(task) if task else ()))
        self._task_publisher.publish(String(data=task))


def main() -> None:
    """Entry point of the executable."""
    run(NAME, LanguageNode)


if __name__ == "__main__":
    main()
