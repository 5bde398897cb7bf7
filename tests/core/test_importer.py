"""A published policy becomes a bundle that computes the same; whatever is wrong with its files is named."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from legion_core.bundle import PolicyBundle
from legion_core.errors import BundleError
from legion_core.importer import import_published
from legion_core.policy import LegionPolicy
from legion_core.published import PATTERNS, PublishedFiles, stem
from legion_core.spaces import LEGION_FIELDS
from legion_core.tasks import all_tasks

PUBLISHED = Path(__file__).parents[3] / "shared" / "legion_published"
OBSERVATION, ACTION, LATENTS_A_TASK = 12, 4, 40
NAMES = tuple(f"{stem(task.metaworld)}-v1" for task in all_tasks())
FILES = {
    "actor": "actor_1.pt",
    "encoder": "vae_1.pt",
    "task_encoder": "task_encoder_1.pt",
    "embeddings": "embeddings.json",
    "latents": "latent_samples.npz",
}


class Rebuild(nn.Module):
    """The published modules, rebuilt as plainly as can be."""

    def __init__(self, latent: int, encoder_width: int, actor_width: int, embedding: int) -> None:
        super().__init__()

        def layers(sizes: list[int], activation: type[nn.Module]) -> list[nn.Module]:
            return [module for pair in pairwise(sizes) for module in (nn.Linear(*pair), activation())]

        w = encoder_width
        self.vae = nn.Module()
        self.vae.trunk = nn.Sequential(*layers([OBSERVATION + embedding, w, w, w], nn.ReLU))
        self.vae.mu_latent, self.vae.log_var_latent = nn.Linear(w, latent), nn.Linear(w, latent)
        self.vae.decoder_context = nn.Sequential(*layers([latent, w, w, w], nn.ReLU), nn.Linear(w, embedding))
        inputs = OBSERVATION + ACTION + latent
        self.vae.decoder_state = nn.Sequential(*layers([inputs, w, w, w], nn.ReLU), nn.Linear(w, OBSERVATION))
        first = [nn.Linear(OBSERVATION + latent, actor_width), nn.LayerNorm(actor_width), nn.Tanh()]
        hidden = layers([actor_width] * 4, nn.LeakyReLU)
        self.actor = nn.Module()
        self.actor.model = nn.Sequential(*first, *hidden, nn.Linear(actor_width, 2 * ACTION))

    @torch.no_grad()
    def act(self, observation: Any, embedding: Any) -> tuple[Any, Any]:
        """Actions and latents (means) of observations (N, 12) and embeddings (N, E), in the modules' own precision."""
        kind = self.vae.mu_latent.weight.dtype
        x, e = torch.as_tensor(observation, dtype=kind), torch.as_tensor(embedding, dtype=kind)
        z = self.vae.mu_latent(self.vae.trunk(torch.cat((x, e), dim=1)))
        mean, _ = self.actor.model(torch.cat((x, z), dim=1)).chunk(2, dim=1)
        return torch.tanh(mean).numpy(), z.numpy()


def publish(
    folder: Path, latent: int = 4, encoder_width: int = 24, actor_width: int = 16, embedding: int = 20
) -> Rebuild:
    """A complete set of published files with random numbers; the tables' order differs from the JSON's."""
    torch.manual_seed(latent)
    rng = np.random.default_rng(latent)
    network = Rebuild(latent, encoder_width, actor_width, embedding)
    vectors = rng.normal(size=(len(NAMES), embedding)).astype(np.float32)
    torch.save(network.actor.state_dict(), folder / FILES["actor"])
    torch.save(network.vae.state_dict(), folder / FILES["encoder"])
    torch.save({"pretrained_embedding.weight": torch.as_tensor(vectors)}, folder / FILES["task_encoder"])
    shuffled = {NAMES[i]: vectors[i].tolist() for i in rng.permutation(len(NAMES))}
    (folder / FILES["embeddings"]).write_text(json.dumps(shuffled))
    task = rng.permutation(np.repeat(np.arange(len(NAMES)), LATENTS_A_TASK))
    label = len(NAMES) - 1 - task
    means, variances = rng.normal(size=(len(NAMES), latent)), rng.uniform(1e-6, 1e-5, (len(NAMES), latent))
    np.savez(
        folder / FILES["latents"],
        z=rng.normal(means[label], np.sqrt(variances[label])).astype(np.float32),
        env_idx=task[:, None],
        env_name=[f"{stem(NAMES[i])}-v2" for i in task],
        cluster_label=label,
        cluster_mu=means[label],
        cluster_var=variances[label],
    )
    return network


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    publish(tmp_path)
    return tmp_path


def load(folder: Path) -> PolicyBundle:
    return import_published(PublishedFiles.find(folder))


def compare(bundle: PolicyBundle, network: Rebuild, count: int) -> tuple[float, float, float]:
    """Greatest distance of the bundle's actions and latents from the rebuild's in double precision on random inputs,
    and that of the rebuild's own actions in single precision."""
    rng = np.random.default_rng(1)
    observations = rng.uniform(-1, 1, (count, OBSERVATION)).astype(np.float32)
    embeddings = np.array([bundle.embedding(bundle.task_names[i % len(bundle.task_names)]) for i in range(count)])
    policy = LegionPolicy(bundle)
    steps = [policy.act(x, e) for x, e in zip(observations, embeddings, strict=True)]
    single, _ = network.act(observations, embeddings)
    action, latent = network.double().act(observations, embeddings)
    return (
        float(np.abs([s.action for s in steps] - action).max()),
        float(np.abs([s.latent for s in steps] - latent).max()),
        float(np.abs(single - action).max()),
    )


@pytest.mark.parametrize("sizes", [(10, 400, 300, 768), (4, 24, 16, 20), (7, 32, 40, 9)])
def test_the_bundle_computes_what_the_published_modules_compute(sizes: tuple[int, ...], tmp_path: Path) -> None:
    network = publish(tmp_path, *sizes)
    bundle = load(tmp_path)
    bundle.save(tmp_path / "bundle")
    action, latent, _ = compare(PolicyBundle.load(tmp_path / "bundle"), network, 200)
    assert action < 1e-6 and latent < 1e-6
    architecture = bundle.manifest.architecture
    assert (architecture.latent, architecture.encoder_width, architecture.actor_width) == sizes[:3]
    assert bundle.manifest.embedding.size == sizes[3]


def test_every_weight_is_kept_to_the_bit(folder: Path) -> None:
    bundle = load(folder)
    for part, file in (("encoder.", "encoder"), ("actor.", "actor")):
        for name, tensor in torch.load(folder / FILES[file], weights_only=True).items():
            if not name.startswith("decoder_"):
                assert bundle.weights[part + name].tobytes() == tensor.numpy().tobytes()


def test_observations_are_legions_and_are_not_normalised(folder: Path) -> None:
    bundle = load(folder)
    assert bundle.manifest.observation == LEGION_FIELDS
    assert not bundle.weights["observation_mean"].any()
    assert (bundle.weights["observation_scale"] == 1).all()


def test_tasks_are_ours_with_the_vectors_of_the_table(folder: Path) -> None:
    bundle = load(folder)
    table = torch.load(folder / FILES["task_encoder"], weights_only=True)["pretrained_embedding.weight"].numpy()
    assert bundle.task_names == tuple(task.name for task in all_tasks())
    for row, name, ours in zip(table, NAMES, all_tasks(), strict=True):
        task = bundle.manifest.task(ours.name)
        assert (task.metaworld, task.sentences) == (ours.metaworld, (ours.description, ours.name, name))
        np.testing.assert_array_equal(bundle.embeddings[ours.name], [row] * 3)


def test_the_mixture_is_the_published_one(folder: Path) -> None:
    knowledge = load(folder).knowledge
    data = np.load(folder / FILES["latents"])
    assert knowledge.tasks == tuple(reversed([stem(name) for name in NAMES]))
    np.testing.assert_allclose(knowledge.weights, 1 / len(NAMES), rtol=1e-6)
    chosen = [int(np.flatnonzero(data["cluster_label"] == k)[0]) for k in range(len(NAMES))]
    np.testing.assert_array_equal(knowledge.means, data["cluster_mu"][chosen].astype(np.float32))
    np.testing.assert_array_equal(knowledge.variances, data["cluster_var"][chosen].astype(np.float32))
    assert knowledge.purity(data["z"], [stem(name) for name in data["env_name"]]) == 1


def test_what_is_familiar_is_what_the_published_latents_are(folder: Path) -> None:
    bundle = load(folder)
    data = np.load(folder / FILES["latents"])
    familiar = bundle.knowledge.log_likelihood(data["z"]) >= bundle.manifest.familiar_log_likelihood
    assert 0 < np.count_nonzero(~familiar) <= 1 + len(familiar) / 1000
    assert bundle.knowledge.log_likelihood(data["z"][0] + 1) < bundle.manifest.familiar_log_likelihood


def test_the_files_are_named_with_their_hashes(folder: Path) -> None:
    imported = load(folder).manifest.training["imported"]
    assert {part: entry["file"] for part, entry in imported.items()} == FILES
    assert all(len(entry["sha256"]) == 64 for entry in imported.values())


@pytest.mark.skipif(not PUBLISHED.is_dir(), reason="the published data are not at hand")
def test_the_published_actor_and_embeddings(tmp_path: Path) -> None:
    """The published encoder is not at hand, so a random one takes its place.

    The published actor multiplies rounding: in single precision its own modules are off by up to 2e-5.
    """
    network = publish(tmp_path, 10, 400, 300, 768)
    bundle = import_published(PublishedFiles.find(PUBLISHED, encoder=tmp_path / FILES["encoder"]))
    network.actor.load_state_dict(torch.load(PUBLISHED / "actor_0.95.pt", map_location="cpu", weights_only=True))
    action, latent, rounding = compare(bundle, network, 500)
    assert latent < 1e-6
    assert action < max(1e-6, 3 * rounding)
    assert bundle.task_names == tuple(task.name for task in all_tasks())
    assert sorted(bundle.knowledge.tasks) == sorted(bundle.task_names)
    embeddings = json.loads((PUBLISHED / "roberta-metaworld-mt10-v2.json").read_text())
    np.testing.assert_array_equal(bundle.embedding("push"), np.array(embeddings["push-v1"], np.float32))
    exact = torch_policy(bundle).double()
    observations = np.random.default_rng(2).uniform(-1, 1, (500, OBSERVATION))
    vectors = np.tile(bundle.embedding("push"), (500, 1))
    with torch.no_grad():
        ours, _ = exact(torch.as_tensor(observations), torch.as_tensor(vectors, dtype=torch.float64))
    theirs, _ = network.act(observations, vectors)
    assert np.abs(ours.numpy() - theirs).max() < 1e-12


def torch_policy(bundle: PolicyBundle) -> Any:
    """The project's own torch modules with the bundle's weights."""
    from legion_core.networks import PolicyNetwork

    zeros = np.zeros(OBSERVATION, np.float32)
    network = PolicyNetwork(zeros, zeros + 1, bundle.manifest.embedding.size, bundle.manifest.architecture)
    state = {name: torch.as_tensor(array) for name, array in bundle.weights.items()}
    missing, unexpected = network.load_state_dict(state, strict=False)
    assert all(".decoder_" in name for name in missing) and not unexpected
    return network


# What is wrong with the state dicts


def edit_state(folder: Path, part: str, change: Callable[[dict[str, Any]], object]) -> None:
    state = dict(torch.load(folder / FILES[part], weights_only=True))
    change(state)
    torch.save(state, folder / FILES[part])


def put(name: str, change: Callable[[Any], Any]) -> Callable[[dict[str, Any]], object]:
    return lambda state: state.__setitem__(name, change(state[name]))


def nan_first(tensor: Any) -> Any:
    tensor.view(-1)[0] = torch.nan
    return tensor


@pytest.mark.parametrize(
    ("part", "change", "message"),
    [
        ("actor", lambda s: s.pop("model.5.bias"), r"actor_1\.pt: tensor 'model\.5\.bias' is missing; .*\(16,\)"),
        ("encoder", lambda s: s.pop("mu_latent.bias"), r"vae_1\.pt: tensor 'mu_latent\.bias' is missing; .*\(4,\)"),
        ("encoder", put("trunk.0.weight", lambda t: t.T), r"trunk\.0\.weight is float32 \(32, 24\); .* \(24, 32\)"),
        ("encoder", put("mu_latent.weight", lambda t: t[:3]), r"mu_latent\.weight is .*\(3, 24\); .*\(4, 24\)"),
        ("encoder", put("trunk.4.bias", lambda t: t[0]), r"trunk\.4\.bias is float32 \(\); expected float32 \(24,\)"),
        ("actor", put("model.0.weight", lambda t: t[:, 1:]), r"model\.0\.weight is .*\(16, 15\); .*\(16, 16\)"),
        ("actor", put("model.9.weight", lambda t: t[:7]), r"model\.9\.weight is .*\(7, 16\); .*\(8, 16\)"),
        ("actor", put("model.1.weight", nan_first), r"actor_1\.pt: model\.1\.weight holds numbers .* not finite"),
        ("actor", put("model.3.bias", torch.Tensor.double), r"model\.3\.bias is \(16,\), torch\.float64.*float32"),
        ("actor", put("model.3.bias", torch.Tensor.bfloat16), r"model\.3\.bias is .*torch\.bfloat16"),
        ("actor", put("model.3.bias", torch.Tensor.to_sparse), r"model\.3\.bias is .*torch\.sparse_coo"),
        ("actor", put("model.3.bias", lambda t: t.to("meta")), r"model\.3\.bias is .*meta"),
        ("actor", put("model.3.bias", lambda t: 3), r"model\.3\.bias is int; expected a tensor"),
        (
            "actor",
            lambda s: s.update({"model.11.bias": torch.ones(2)}),
            r"unknown tensor 'model\.11\.bias' .*; allowed",
        ),
        ("actor", lambda s: s.clear(), r"actor_1\.pt: lacks model\.\*; it holds nothing"),
        ("encoder", lambda s: s.update({"trunk.6.bias": torch.ones(24)}), r"unknown tensor 'trunk\.6\.bias'"),
        ("task_encoder", lambda s: s.clear(), r"task_encoder_1\.pt: tensor 'pretrained_embedding\.weight' is missing"),
        ("task_encoder", put("pretrained_embedding.weight", lambda t: t[:, :9]), r"\(10, 9\); expected .*\(10, 20\)"),
        ("task_encoder", put("pretrained_embedding.weight", nan_first), r"not finite"),
        ("task_encoder", put("pretrained_embedding.weight", lambda t: t + 1e-3), r"row 0 of .* nearest, reach-v1, by"),
        (
            "task_encoder",
            put("pretrained_embedding.weight", lambda t: t[[0, *range(9)]]),
            r"window-close-v1: no row of",
        ),
    ],
)
def test_a_wrong_tensor_is_named(
    folder: Path, part: str, change: Callable[[dict[str, Any]], object], message: str
) -> None:
    edit_state(folder, part, change)
    with pytest.raises(BundleError, match=message):
        load(folder)


def test_a_file_in_the_place_of_another(folder: Path) -> None:
    files = PublishedFiles.find(folder)
    with pytest.raises(
        BundleError, match=r"actor_1\.pt: lacks mu_latent\.\* and log_var_latent\.\*; it holds model\.0"
    ):
        import_published(replace(files, encoder=files.actor))
    with pytest.raises(
        BundleError, match=r"latent_samples\.npz: refused|latent_samples\.npz: not a file of torch\.save"
    ):
        import_published(replace(files, actor=files.latents))


class Code:
    """Makes the folder `path` when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return (Path.mkdir, (self.path,))


def plain_pickle(content: object, path: Path) -> None:
    path.write_bytes(pickle.dumps(content))


@pytest.mark.parametrize("write", [torch.save, plain_pickle])
def test_code_in_a_file_is_refused_and_does_not_run(folder: Path, write: Callable[[object, Path], None]) -> None:
    write({"model.0.weight": torch.zeros(3), "code": Code(folder / "ran")}, folder / FILES["actor"])
    with pytest.raises(BundleError, match=r"actor_1\.pt: refused: it holds more than tensors.*state_dict"):
        load(folder)
    assert not (folder / "ran").exists()


def test_code_in_the_latents_is_refused_and_does_not_run(folder: Path) -> None:
    edit_latents(folder, lambda arrays: arrays.update(cluster_label=np.array([Code(folder / "ran")], object)))
    with pytest.raises(BundleError, match=r"latent_samples\.npz: not an npz file of plain arrays"):
        load(folder)
    assert not (folder / "ran").exists()


def test_a_whole_module_is_refused(folder: Path) -> None:
    torch.save(nn.Linear(2, 2), folder / FILES["actor"])
    with pytest.raises(BundleError, match=r"actor_1\.pt: refused: it holds more than tensors"):
        load(folder)
    torch.save(torch.zeros(2), folder / FILES["actor"])
    with pytest.raises(BundleError, match=r"actor_1\.pt: expected a state dict, found Tensor"):
        load(folder)


# What is wrong with the embeddings and the latents


def edit_json(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    data = json.loads((folder / FILES["embeddings"]).read_text())
    change(data)
    (folder / FILES["embeddings"]).write_text(json.dumps(data))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.clear(), "expected a mapping"),
        (put("push-v1", lambda v: v[1:]), "push-v1 has 19 numbers; expected 20"),
        (put("push-v1", lambda v: []), "push-v1: expected a list of numbers"),
        (put("push-v1", lambda v: ["1", *v[1:]]), "push-v1: expected a list of numbers"),
        (put("push-v1", lambda v: [True, *v[1:]]), "push-v1: expected a list of numbers"),
        (put("push-v1", lambda v: {"a": 1}), "push-v1: expected a list of numbers"),
        (put("push-v1", lambda v: [float("nan"), *v[1:]]), "push-v1 holds numbers that are not finite"),
        (put("push-v1", lambda v: [10**400, *v[1:]]), "push-v1 holds numbers that are not finite"),
        (lambda d: d.update({"dance-v1": d["push-v1"]}), "unknown task 'dance-v1'"),
        (lambda d: d.update({"push-v2": d["push-v1"]}), "push-v2 is there in two versions"),
        (lambda d: d.pop("push-v1"), r"task_encoder_1\.pt: .* is float32 \(10, 20\); expected float32 \(9, 20\)"),
        (put("push-v1", lambda v: [v[0] + 0.5, *v[1:]]), "row 1 .* differs from the nearest, push-v1, by 0.5"),
    ],
)
def test_wrong_embeddings_are_named(folder: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    edit_json(folder, change)
    with pytest.raises(BundleError, match=message) as caught:
        load(folder)
    assert FILES["embeddings"] in str(caught.value) or FILES["task_encoder"] in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1, 2]", "null", "\x00", "[" * 100_000])
def test_what_is_no_mapping_in_json(folder: Path, text: str) -> None:
    (folder / FILES["embeddings"]).write_text(text)
    with pytest.raises(BundleError, match=r"embeddings\.json: (not valid JSON|expected a mapping)"):
        load(folder)


def edit_latents(folder: Path, change: Callable[[dict[str, Any]], object]) -> None:
    arrays = dict(np.load(folder / FILES["latents"]))
    change(arrays)
    np.savez(folder / FILES["latents"], **arrays)


def first(value: object) -> Callable[[Any], Any]:
    def change(array: Any) -> Any:
        array[0] = value
        return array

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a.pop("cluster_var"), "lacks cluster_var; the file holds z, env_idx"),
        (put("z", lambda z: z[:, :3]), r"z is float32 \(400, 3\); expected floats \(400, 4\)"),
        (put("z", lambda z: z[:7]), r"z is float32 \(7, 4\); expected floats \(400, 4\)"),
        (put("z", lambda z: z[0, 0]), r"z is float32 \(\); expected floats \(400, 4\)"),
        (put("z", lambda z: z.astype(int)), r"z is int64 \(400, 4\); expected floats"),
        (put("z", first(np.inf)), "z holds numbers that are not finite"),
        (put("cluster_mu", first(9.0)), "cluster_mu differs among latents of one cluster_label"),
        (put("cluster_var", lambda v: -v), "variances finite and positive"),
        (put("cluster_var", lambda v: v * 1e-60), "variances finite and positive"),
        (put("cluster_label", lambda c: c + 0.5), r"cluster_label is float64 \(400,\); expected integers \(400,\)"),
        (put("env_name", lambda n: np.arange(400)), r"env_name is int64 \(400,\); expected text \(400,\)"),
        (put("env_name", first("dance-v2")), "env_name 'dance-v2' is none of the tasks that have an embedding: reach"),
        (lambda a: a.update({name: a[name][:0] for name in a}), "no latents"),
    ],
)
def test_wrong_latents_are_named(folder: Path, change: Callable[[dict[str, Any]], object], message: str) -> None:
    edit_latents(folder, change)
    with pytest.raises(BundleError, match=f"latent_samples.npz: .*{message}"):
        load(folder)


# What is wrong with the files


@pytest.mark.parametrize("part", FILES)
def test_a_missing_file_is_named(folder: Path, part: str) -> None:
    (folder / FILES[part]).unlink()
    with pytest.raises(BundleError, match=rf"{part.replace('_', ' ')} .*no such file; .*--{part.replace('_', '-')}"):
        load(folder)
    files = {**{name: folder / file for name, file in FILES.items()}, part: folder / "elsewhere"}
    with pytest.raises(BundleError, match=r"cannot read .*elsewhere: No such file"):
        import_published(PublishedFiles.find(**files))


def test_files_are_found_by_their_names_or_given(folder: Path, tmp_path: Path) -> None:
    assert set(FILES) == set(PATTERNS)
    files = PublishedFiles.find(folder)
    assert files == PublishedFiles(**{part: folder / file for part, file in FILES.items()})
    other = folder / "actor_2.pt"
    other.write_bytes(files.actor.read_bytes())
    with pytest.raises(BundleError, match=r"found actor_1\.pt, actor_2\.pt; name the file with --actor"):
        PublishedFiles.find(folder)
    assert PublishedFiles.find(folder, actor=other).actor == other
    with pytest.raises(BundleError, match=r"actor is missing: .*--actor"):
        PublishedFiles.find()
    with pytest.raises(BundleError, match="nowhere: no such folder"):
        PublishedFiles.find(tmp_path / "nowhere")


@pytest.mark.parametrize("part", FILES)
@pytest.mark.parametrize("content", [b"", b"hello world", b"PK\x03\x04"])
def test_what_is_another_kind_of_file(folder: Path, part: str, content: bytes) -> None:
    (folder / FILES[part]).write_bytes(content)
    with pytest.raises(BundleError, match=FILES[part]):
        load(folder)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, bytes]]:
    folder = tmp_path_factory.mktemp("published")
    publish(folder)
    return folder, {part: (folder / file).read_bytes() for part, file in FILES.items()}


@given(part=st.sampled_from(sorted(FILES)), share=st.floats(0, 1, exclude_max=True))
@settings(max_examples=60)
def test_a_file_cut_short_is_named(whole: tuple[Path, dict[str, bytes]], part: str, share: float) -> None:
    folder, contents = whole
    for name, content in contents.items():
        (folder / FILES[name]).write_bytes(content[: int(share * len(content))] if name == part else content)
    with pytest.raises(BundleError, match=FILES[part]):
        load(folder)


@given(part=st.sampled_from(sorted(FILES)), where=st.floats(0, 1, exclude_max=True), value=st.integers(0, 255))
@settings(max_examples=150)
def test_damage_is_one_error_or_harmless(
    whole: tuple[Path, dict[str, bytes]], part: str, where: float, value: int
) -> None:
    folder, contents = whole
    damaged = bytearray(contents[part])
    damaged[int(where * len(damaged))] = value
    for name, content in contents.items():
        (folder / FILES[name]).write_bytes(damaged if name == part else content)
    try:
        bundle = load(folder)
    except BundleError:
        return
    assert isinstance(bundle, PolicyBundle)
